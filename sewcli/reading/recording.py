"""The decoded samples of one input, held so that chunks can be read in any order.

The statistics of a recording are complete only when its last sample has been decoded, and every
chunk needs them; so the samples wait, short ones in memory and long ones in a temporary file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.statistics import StatisticsAccumulator, WaveStatistics
from sewcli.audio import SAMPLE_RATE, shown
from sewcli.audio.checks import cannot_open
from sewcli.chunking import MIN_SAMPLES
from sewcli.inputs.source import Source
from sewcli.reading.activity import active, pieces
from sewcli.reading.activity_options import ActivityOptions
from sewcli.reading.kept import How, kept
from sewcli.reading.read_workers import ReadWorkers

#: samples
_BLOCK = 1 << 17


class Recording:
    """16 kHz mono samples of one input and their statistics.

    Args:
        source: what to read.
        engine: of the decoding, see `sewcli.audio.read_blocks`.
        longest: seconds it may last; reading ends as soon as it is longer.
        activity: leave long silences out; None keeps all.
        cancelled: asked after every block that is decoded in this process whether to give up (AudioError).
        workers: processes to decode in; None for this one.

    Attributes:
        pieces: the samples that are to be read, as half-open ranges in order; see `sewcli.reading.activity`.

    Raises:
        AudioError: the audio cannot be read or cannot be used.
        DeadWorkerError: the process that decoded it has ended.
    """

    def __init__(
        self,
        source: Source,
        *,
        engine: str = "soundfile",
        longest: float | None = None,
        activity: ActivityOptions | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        workers: ReadWorkers | None = None,
    ) -> None:
        self.source = source
        how = How(engine, longest, levels=activity is not None)
        read = kept if workers is None else workers.kept
        self._held, measures = read(source, how, cancelled)
        self.statistics = measures.statistics
        self.samples = len(self._held)
        self.pieces = [(0, self.samples)]
        if activity is not None and measures.levels is not None:
            self.pieces = pieces(active(measures.levels, activity), self.samples)
            self.statistics = self._statistics_of_pieces() or self.statistics

    def _statistics_of_pieces(self) -> WaveStatistics | None:
        """The moments of what is kept alone, since models were trained on clips with little silence."""
        accumulator = StatisticsAccumulator()
        for start, stop in self.pieces:
            for block in self.blocks(start, stop):
                accumulator.update(block)
        left = sum(stop - start for start, stop in self.pieces)
        return accumulator.finish() if left >= MIN_SAMPLES else None

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return round(self.samples / SAMPLE_RATE, 3)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples `start` to `stop`, shape (stop - start,) (AudioError where the disk does not give them)."""
        try:
            return self._held.read(start, stop)
        except OSError as error:
            raise cannot_open(shown(self.source), error) from error

    def blocks(self, start: int, stop: int) -> Iterator[NDArray[np.float32]]:
        """The same a block at a time."""
        for first in range(start, stop, _BLOCK):
            yield self.read(first, min(first + _BLOCK, stop))

    def close(self) -> None:
        """Give memory and temporary file back."""
        self._held.close()

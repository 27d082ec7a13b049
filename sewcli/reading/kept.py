"""All samples of a source, and what a recording must know of them before its first chunk runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.statistics import StatisticsAccumulator, WaveStatistics
from sewcli.audio import SAMPLE_RATE, read_blocks, shown
from sewcli.errors import AudioError
from sewcli.inputs.source import Source
from sewcli.reading.activity import LevelMeter
from sewcli.reading.samples import Samples
from sewcli.temporary import no_room


@dataclass(frozen=True)
class How:
    """How a source is read.

    Attributes:
        engine: of the decoding, see `sewcli.audio.read_blocks`.
        longest: seconds it may last; reading ends as soon as it is longer.
        levels: take them too.
    """

    engine: str = "soundfile"
    longest: float | None = None
    levels: bool = False


@dataclass(frozen=True)
class Measures:
    """Of all samples of a source.

    Attributes:
        statistics: their moments.
        levels: dB of full scale, one each 20 ms, see `reading.activity.LevelMeter`; None where not asked for.
    """

    statistics: WaveStatistics
    levels: NDArray[np.float32] | None


def kept(source: Source, how: How, cancelled: Callable[[], bool] = lambda: False) -> tuple[Samples, Measures]:
    """Read a source in blocks, which are measured as they pass and kept. The samples are to be closed.

    Args:
        source: what to read.
        how: see `How`.
        cancelled: asked after every block whether to give up (AudioError).

    Raises:
        AudioError: the audio cannot be read or cannot be used, or there is no room for it.
    """
    try:
        return _kept(source, how, cancelled)
    except MemoryError as error:
        raise AudioError(
            f"{shown(source)}: there is not enough memory to read it",
            hint="--audio-engine soundfile holds no whole file" if how.engine == "librosa" else None,
            code="no_memory",
        ) from error


def _kept(source: Source, how: How, cancelled: Callable[[], bool]) -> tuple[Samples, Measures]:
    samples = Samples()
    statistics = StatisticsAccumulator()
    meter = LevelMeter() if how.levels else None
    with ExitStack() as failed:
        failed.callback(samples.close)
        blocks = failed.enter_context(closing(read_blocks(source, engine=how.engine)))
        for block in blocks:
            statistics.update(block)
            if meter is not None:
                meter.update(block)
            with room_for(source):
                samples.append(block)
            _check_length(source, len(samples), how.longest)
            if cancelled():
                raise AudioError(f"{shown(source)}: interrupted", code="interrupted")
        with room_for(source):
            samples.finish()
        failed.pop_all()
    return samples, Measures(statistics.finish(), None if meter is None else meter.finish())


@contextmanager
def room_for(source: Source) -> Iterator[None]:
    """Raise AudioError for an OSError: there is no room for the samples of a source."""
    try:
        yield
    except OSError as error:
        hint = "set TMPDIR to a directory with 230 MB for each hour of audio"
        raise no_room(AudioError, "its samples", error, hint, f"{shown(source)}: ") from error


def _check_length(source: Source, samples: int, longest: float | None) -> None:
    if longest is not None and round(samples / SAMPLE_RATE, 3) > longest:
        raise AudioError(
            f"{shown(source)}: longer than {longest:g} s, the most that is read as one piece",
            hint="cut it into clips; sew classify --window 1.0 finds words in long audio",
            code="too_long",
        )

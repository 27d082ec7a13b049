"""From sources to events: windows of a stream go through the network, and their scores become events.

Nothing waits for the end of an input: what is held is a few batches of windows, so an input may be endless.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from sewcli.acoustic.model import AcousticModel, Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.audio import read_blocks, shown
from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import InputError
from sewcli.inputs.source import Source
from sewcli.results import Detections, Failure, KeywordEvent, ModelInfo
from sewcli.spotting.events import EventFinder, Run
from sewcli.spotting.heard import WindowScores
from sewcli.spotting.options import SpottingOptions
from sewcli.spotting.smoothing import Scores, Smoother
from sewcli.spotting.windows import Window, Windower

if TYPE_CHECKING:
    from sewcli.pictures.consumer import SpottingPicture


@dataclass(frozen=True)
class Spotter:
    """A classification model at work on windows.

    Attributes:
        model: the network.
        info: how results name it.
        options: see `SpottingOptions`.
        batch_seconds: audio in one batch; 0 runs every window alone.
        audio_engine: of the decoding.
        picture: takes each source and its picture, or None.
    """

    model: AcousticModel
    info: ModelInfo
    options: SpottingOptions
    batch_seconds: float = 0.0
    audio_engine: str = "soundfile"
    picture: Callable[[Source, bytes], None] | None = None

    def results(self, sources: Iterable[Source]) -> Iterator[KeywordEvent | Detections | Failure]:
        """The events of each source as they end, then all of them together; or what has failed.

        Events of an input that fails later on have been given by then.
        """
        for source in sources:
            yield from self._of(source)

    def _of(self, source: Source) -> Iterator[KeywordEvent | Detections | Failure]:
        options = self.options
        finder = EventFinder(
            options.columns(self.model.labels), options.threshold, options.hop_samples, options.gap_samples
        )
        recording = Listening(self, source)
        events: list[KeywordEvent] = []
        try:
            for scores in recording.smoothed():
                for run in finder.push(scores):
                    events.append(self._event(source, run))
                    yield events[-1]
        except InputError as error:
            yield source.failure(error.code, str(error))
            return
        for run in finder.finish(recording.samples):
            events.append(self._event(source, run))
            yield events[-1]
        yield Detections(
            source.path,
            recording.duration,
            tuple(events),
            self.info,
            offset=source.part[0],
            channel=source.channel,
        )

    def _event(self, source: Source, run: Run) -> KeywordEvent:
        return KeywordEvent(
            path=source.path,
            label=self.model.labels[run.label],
            start=round(source.offset + run.start / SAMPLE_RATE, 3),
            end=round(source.offset + run.end / SAMPLE_RATE, 3),
            score=round(run.score, 4),
            offset=source.part[0],
            channel=source.channel,
        )


class Listening:
    """One source under way.

    Attributes:
        samples: read so far, at 16 kHz.
    """

    def __init__(self, spotter: Spotter, source: Source) -> None:
        self._spotter = spotter
        self._source = source
        self.samples = 0
        self._picture: SpottingPicture | None = None
        if spotter.picture is not None:
            from sewcli.pictures.consumer import SpottingPicture

            self._picture = SpottingPicture(source, spotter.picture)

    @property
    def duration(self) -> float:
        """Seconds read so far."""
        return round(self.samples / SAMPLE_RATE, 3)

    def smoothed(self) -> Iterator[Scores]:
        """The smoothed scores of all windows, in order (AudioError where the source cannot be read)."""
        smoother = Smoother(self._spotter.options.smooth)
        for scores in chain(self.scores(), [None]):
            for smoothed in smoother.finish() if scores is None else smoother.push(scores):
                if self._picture is not None:
                    time = self._source.offset + smoothed.centre / SAMPLE_RATE
                    self._picture.scores.push(time, smoothed.values)
                yield smoothed
        if self._picture is not None:
            self._picture.finish(self._spotter.model.labels, self._spotter.options.threshold)

    def scores(self) -> Iterator[Scores]:
        """The scores of all windows, in order (AudioError where the source cannot be read)."""
        spotter, live = self._spotter, self._source.is_stdin
        # what comes in as it is said is told as it is said
        rows = 1 if live else max(1, math.ceil(spotter.batch_seconds / spotter.options.window))
        heard = WindowScores(spotter.model, shown(self._source), rows, live=live)
        try:
            try:
                for window in self._windows():
                    yield from heard.push(window, self._segment(window))
            except InputError:
                yield from heard.finish()  # the windows before are no less good
                raise
            yield from heard.finish()
        except Exception:
            yield from heard.drain()
            raise
        finally:
            heard.close()

    def _windows(self) -> Iterator[Window]:
        options = self._spotter.options
        windower = Windower(options.window_samples, options.hop_samples)
        for block in read_blocks(self._source, engine=self._spotter.audio_engine, live=True):
            self.samples += block.size
            if self._picture is not None:
                self._picture.sound.push(block)
            yield from windower.push(block)
        yield from windower.finish()

    def _segment(self, window: Window) -> Segment | None:
        """The window for the network, normalised by itself as a clip is; None below the gate."""
        power = float(np.var(window.samples, dtype=np.float64))
        if power == 0 or 10 * np.log10(power) < self._spotter.options.gate:
            return None
        return Segment(window.samples, wave_statistics(window.samples))

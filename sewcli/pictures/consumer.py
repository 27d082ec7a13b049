"""Draws a picture of each recording beside making its result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sewcli.inputs.source import Source
from sewcli.pictures.draw import draw
from sewcli.pictures.overview import OverviewBuilder
from sewcli.pictures.trace import TraceBuilder
from sewcli.pipeline.consumer import Consumer
from sewcli.reading.recording import Recording
from sewcli.results import Classification, Failure, Span, Transcript

ResultT = TypeVar("ResultT")
Write = Callable[[Source, bytes], None]
#: matplotlib is not made for several threads
_DRAWING = threading.Lock()


class Picturing(Consumer[ResultT]):
    """Consumer of one recording that has another make the result, and draws both.

    Args:
        consumer: makes the result.
        write: takes the source and the picture.
    """

    def __init__(self, consumer: Consumer[ResultT], write: Write) -> None:
        self._consumer = consumer
        self._write = write

    def push(self, output: NDArray[np.float32]) -> None:
        """Hand on the output of the next chunk."""
        self._consumer.push(output)

    def skip(self, frames: int) -> None:
        """Hand on that frames were not run."""
        self._consumer.skip(frames)

    def result(self, recording: Recording) -> ResultT:
        """The result, once the picture is written; a failure has none."""
        result = self._consumer.result(recording)
        if isinstance(result, Failure):
            return result
        builder = OverviewBuilder()
        for block in recording.blocks(0, recording.samples):
            builder.push(block)
        title = recording.source.path
        words: tuple[Span, ...] = ()
        if isinstance(result, Transcript):
            words = result.words or ()
        elif isinstance(result, Classification):
            title += ":  " + ",  ".join(f"{one.label} {one.score:.2f}" for one in result.labels)
        with _DRAWING:
            picture = draw(builder.finish(), offset=recording.source.offset, title=title, words=words)
        self._write(recording.source, picture)
        return result

    def close(self) -> None:
        """Give resources back."""
        self._consumer.close()


class SpottingPicture:
    """Takes the sound and the scores of one recording in which keywords are spotted, and draws them.

    Args:
        source: of the recording.
        write: takes the source and the picture.
    """

    def __init__(self, source: Source, write: Write) -> None:
        self.sound = OverviewBuilder()
        self.scores = TraceBuilder()
        self._source = source
        self._write = write

    def finish(self, labels: tuple[str, ...], threshold: float) -> None:
        """Write the picture."""
        trace = self.scores.finish(labels, threshold)
        view = self.sound.finish()
        self._write(
            self._source, draw(view, offset=self._source.offset, title=self._source.path, trace=trace)
        )

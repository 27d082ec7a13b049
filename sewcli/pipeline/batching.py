"""Chunks to batches, batches through the network, outputs to the consumers of their recordings."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.model import AcousticModel, Attending, PartlyRunError, Segment, Starting, Underway
from sewcli.chunking import SAMPLE_RATE, Chunk
from sewcli.pipeline.consumer import SkipsSilence
from sewcli.pipeline.line import Job

#: rows of a batch: each may hold an open file
_MOST_ROWS = 64
#: batches under way: one is computed while the next is put together and copied
_MOST_UNDERWAY = 2

ResultT_co = TypeVar("ResultT_co", covariant=True)


@runtime_checkable
class TakesAttentions(Protocol):
    """A consumer of the attentions that a model may give (`sewcli.acoustic.model.Attending`)."""

    def attend(self, weights: NDArray[np.float32], chunk: Chunk) -> None:
        """Take in those of the next chunk, shape (layers, heads, states, states), before its output."""


class _Row(NamedTuple, Generic[ResultT_co]):
    job: Job[ResultT_co]
    chunk: Chunk
    segment: Segment


class Batcher(Generic[ResultT_co]):
    """Puts chunks together and has them run, in order.

    A model that can begin a batch before the last one is through (`Starting`) is given the next one then:
    the card computes while the host reads, pads, copies and decodes.

    Args:
        model: the network.
        seconds: padded audio in one batch; 0 runs every chunk alone.
    """

    def __init__(self, model: AcousticModel, seconds: float) -> None:
        self._model = model
        self._seconds = seconds
        self._rows: list[_Row[ResultT_co]] = []
        self._underway: deque[tuple[list[_Row[ResultT_co]], Underway]] = deque()

    def add(self, job: Job[ResultT_co], chunk: Chunk, segment: Segment) -> None:
        """Take in the next chunk; what makes a full batch is run."""
        row = _Row(job, chunk, segment)
        seconds = self._seconds
        if isinstance(self._model, Starting):
            seconds = min(seconds, self._model.most_seconds)
        if self._rows and _padded_seconds([*self._rows, row]) > seconds:
            self.run()
        self._rows.append(row)
        if _padded_seconds(self._rows) >= seconds or len(self._rows) >= _MOST_ROWS:
            self.run()

    def run(self) -> None:
        """Begin a batch of what is there, and hand on the outputs of those that are through."""
        if self._rows:
            rows, self._rows = self._rows, []
            segments = [row.segment for row in rows]
            if isinstance(self._model, Starting) and not isinstance(self._model, Attending):
                self._underway.append((rows, self._model.start(segments)))
            else:
                self._hand_on(rows, self._model(segments))
        while self._underway and (len(self._underway) >= _MOST_UNDERWAY or self._underway[0][1].ready()):
            self._settle()

    def flush(self) -> None:
        """Run what is there, and wait until all outputs are handed on."""
        self.run()
        self.settle()

    def settle(self) -> None:
        """Wait for what is under way, and begin nothing more."""
        while self._underway:
            self._settle()

    def _settle(self) -> None:
        rows, underway = self._underway.popleft()
        try:
            outputs = underway.result()
        except PartlyRunError as error:
            self._hand_on(rows[: len(error.outputs)], error.outputs)
            raise
        self._hand_on(rows, outputs)

    def _hand_on(self, rows: Sequence[_Row[ResultT_co]], outputs: Sequence[NDArray[np.float32]]) -> None:
        if isinstance(self._model, Attending) and (weights := self._model.take_attentions()):
            for row, attentions in zip(rows, weights, strict=True):
                if isinstance(row.job.consumer, TakesAttentions):
                    row.job.consumer.attend(attentions, row.chunk)
        for (job, chunk, _), output in zip(rows, outputs, strict=True):
            if chunk.skipped and isinstance(job.consumer, SkipsSilence):
                job.consumer.skip(chunk.skipped)
            job.consumer.push(output[chunk.keep_from : chunk.keep_to] if output.ndim > 1 else output)
            job.waiting -= 1


def _padded_seconds(rows: Sequence[_Row[ResultT_co]]) -> float:
    """Audio of a batch, every row as long as the longest."""
    return len(rows) * max(row.chunk.samples for row in rows) / SAMPLE_RATE

"""Chunks to batches, batches through the network, outputs to the consumers of their recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.in_order import InOrder
from sewcli.acoustic.model import AcousticModel, Attending, Segment
from sewcli.chunking import SAMPLE_RATE, Chunk
from sewcli.pipeline.line import Job

#: rows of a batch: each may hold an open file
MOST_ROWS = 64

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

    Args:
        model: the network.
        seconds: padded audio in one batch; 0 runs every chunk alone.
    """

    def __init__(self, model: AcousticModel, seconds: float) -> None:
        self._model = model
        self._seconds = seconds
        self._rows: list[_Row[ResultT_co]] = []
        self._batches: InOrder[list[_Row[ResultT_co]]] = InOrder(model, self._hand_on)

    def add(self, job: Job[ResultT_co], chunk: Chunk, segment: Segment) -> None:
        """Take in the next chunk; what makes a full batch is run (DeviceError)."""
        row = _Row(job, chunk, segment)
        seconds = min(self._seconds, self._batches.most_seconds)
        if self._rows and _padded_seconds([*self._rows, row]) > seconds:
            self.run()
        self._rows.append(row)
        if _padded_seconds(self._rows) >= seconds or len(self._rows) >= MOST_ROWS:
            self.run()

    def run(self) -> None:
        """Begin a batch of what is there, and hand on the outputs of those that are through (DeviceError)."""
        rows, self._rows = self._rows, []
        if rows:
            self._batches.run(rows, [row.segment for row in rows])

    def flush(self) -> None:
        """Run what is there, and wait until all outputs are handed on (DeviceError)."""
        self.run()
        self._batches.flush()

    def close(self) -> None:
        """Give up what has not begun."""
        self._batches.close()

    def drain(self) -> None:
        """Hand on what was begun before a batch that went wrong."""
        self._batches.drain()

    def _hand_on(self, rows: Sequence[_Row[ResultT_co]], outputs: Sequence[NDArray[np.float32]]) -> None:
        if isinstance(self._model, Attending) and (weights := self._model.take_attentions()):
            for row, attentions in zip(rows, weights, strict=True):
                if isinstance(row.job.consumer, TakesAttentions):
                    row.job.consumer.attend(attentions, row.chunk)
        # fewer outputs where something goes wrong within the batch
        for (job, chunk, _), output in zip(rows, outputs, strict=False):
            if chunk.skipped:
                job.consumer.skip(chunk.skipped)
            job.consumer.push(output[chunk.keep_from : chunk.keep_to] if output.ndim > 1 else output)
            job.waiting -= 1


def _padded_seconds(rows: Sequence[_Row[ResultT_co]]) -> float:
    """Audio of a batch, every row as long as the longest."""
    return len(rows) * max(row.chunk.samples for row in rows) / SAMPLE_RATE

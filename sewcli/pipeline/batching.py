"""Chunks to batches, batches through the network, outputs to the consumers of their recordings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.in_order import InOrder
from sewcli.acoustic.model import AcousticModel, Segment, Starting, attending, check_finite
from sewcli.audio import shown
from sewcli.chunking import SAMPLE_RATE, Chunk
from sewcli.errors import InputError
from sewcli.pipeline.line import Job

#: rows of a batch: each may hold an open file
MOST_ROWS = 64
#: batches from whose chunks one of like lengths is made
_POOL = 2

ResultT_co = TypeVar("ResultT_co", covariant=True)


class _Row(NamedTuple, Generic[ResultT_co]):
    job: Job[ResultT_co]
    number: int
    chunk: Chunk
    segment: Segment


class Batcher(Generic[ResultT_co]):
    """Puts chunks together and has them run; each recording gets its outputs in order.

    Args:
        model: the network.
        seconds: padded audio in one batch; 0 runs every chunk alone.
        alike: put chunks of like lengths together, for a device that computes the padding too: of recordings
            of 1 to 15 s it is a quarter then, and half of what is computed in order.
    """

    def __init__(self, model: AcousticModel, seconds: float, *, alike: bool = False) -> None:
        self._model = model
        self._attending = attending(model)
        self._seconds = seconds
        # what takes the time of each batch knows its outputs by their order
        self._alike = alike and seconds > 0 and isinstance(model, Starting)
        self._rows: list[_Row[ResultT_co]] = []
        #: those whose outputs are not handed on, in the order in which they came
        self._open: dict[int, _Row[ResultT_co]] = {}
        self._batches: InOrder[list[_Row[ResultT_co]]] = InOrder(model, self._hand_on)

    def add(self, job: Job[ResultT_co], chunk: Chunk, segment: Segment) -> None:
        """Take in the next chunk of a recording; what makes a full batch is run (DeviceError)."""
        row = _Row(job, job.begun, chunk, segment)
        job.begun += 1
        self._open[id(row)] = row
        seconds = min(self._seconds, self._batches.most_seconds)
        if self._alike:
            self._rows.append(row)
            while len(self._rows) >= _POOL * MOST_ROWS or _seconds(self._rows) >= _POOL * seconds:
                self._run(self._like_the_first(seconds))
            return
        if self._rows and _padded_seconds([*self._rows, row]) > seconds:
            self._run(self._rows)
        self._rows.append(row)
        if _padded_seconds(self._rows) >= seconds or len(self._rows) >= MOST_ROWS:
            self._run(self._rows)

    def _like_the_first(self, seconds: float) -> list[_Row[ResultT_co]]:
        """A batch of the chunk that has waited longest and those whose lengths are nearest to its own."""
        length = longest = self._rows[0].chunk.samples
        batch: list[_Row[ResultT_co]] = []
        for row in sorted(self._rows, key=lambda row: abs(row.chunk.samples - length)):
            longest = max(longest, row.chunk.samples)
            too_much = (len(batch) + 1) * longest > seconds * SAMPLE_RATE
            if batch and (len(batch) == MOST_ROWS or too_much):
                break
            batch.append(row)
        return batch

    def _run(self, rows: list[_Row[ResultT_co]]) -> None:
        """Begin a batch of some of those there, and hand on the outputs of those that are through."""
        taken = set(map(id, rows))
        self._rows = [row for row in self._rows if id(row) not in taken]
        self._batches.run(rows, [row.segment for row in rows])

    def flush(self) -> None:
        """Run what is there, and wait until all outputs are handed on (DeviceError)."""
        while self._rows:
            seconds = min(self._seconds, self._batches.most_seconds)
            self._run(self._like_the_first(seconds) if self._alike else self._rows)
        self._batches.flush()

    def close(self) -> None:
        """Give up what has not begun."""
        self._batches.close()

    def drain(self) -> None:
        """Hand on what came before the chunk with which a batch went wrong."""
        self._batches.drain()
        if self._alike:  # which may have come later than others that have not begun
            with suppress(Exception):
                for row in [*self._open.values()]:
                    self._hand_on([row], self._model([row.segment]))

    def _hand_on(self, rows: Sequence[_Row[ResultT_co]], outputs: Sequence[NDArray[np.float32]]) -> None:
        # fewer outputs where something goes wrong within the batch
        rows = rows[: len(outputs)]
        weights: Sequence[NDArray[np.float32] | None] = [None] * len(rows)
        if self._attending is not None:
            weights = self._attending.take_attentions()
        for row, output, attentions in zip(rows, outputs, weights, strict=True):
            del self._open[id(row)]
            row.job.take(row.number, partial(_push, row, output, attentions))


def _push(row: _Row[ResultT_co], output: NDArray[np.float32], attentions: NDArray[np.float32] | None) -> None:
    """Hand an output on to the consumer of its recording (InputError where it is of no use)."""
    consumer, chunk = row.job.consumer, row.chunk
    try:
        check_finite(shown(row.job.recording.source), output)
    except InputError:
        consumer.pass_over()
        raise
    if attentions is not None:
        consumer.attend(attentions, chunk)
    if chunk.skipped:
        consumer.skip(chunk.skipped)
    consumer.push(output[chunk.keep_from : chunk.keep_to] if output.ndim > 1 else output)


def _seconds(rows: Sequence[_Row[ResultT_co]]) -> float:
    """Audio of chunks."""
    return sum(row.chunk.samples for row in rows) / SAMPLE_RATE


def _padded_seconds(rows: Sequence[_Row[ResultT_co]]) -> float:
    """Audio of a batch, every row as long as the longest."""
    return len(rows) * max(row.chunk.samples for row in rows) / SAMPLE_RATE

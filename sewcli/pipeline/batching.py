"""Chunks to batches, batches through the network, outputs to the consumers of their recordings."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.model import AcousticModel, Attending, PartlyRunError, Segment, Starting, Underway
from sewcli.chunking import SAMPLE_RATE, Chunk
from sewcli.errors import DeviceError
from sewcli.pipeline.consumer import SkipsSilence
from sewcli.pipeline.line import Job

#: rows of a batch: each may hold an open file
_MOST_ROWS = 64
#: batches under way beside a GPU: one is computed while the next is put together and copied
_MOST_UNDERWAY = 2
#: for each lane of a CPU: they are handed on in order, and beside a long one others are to have work
_MOST_IN_LANE = 3

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

    A model that can begin a batch before the last one is through (`Starting`) is given the next one then: a
    card computes while the host reads, pads, copies and decodes, and a CPU computes several side by side. The
    first of these waits for a second one, because alone it is faster with all threads.

    Args:
        model: the network.
        seconds: padded audio in one batch; 0 runs every chunk alone.
    """

    def __init__(self, model: AcousticModel, seconds: float) -> None:
        self._model = model
        self._seconds = seconds
        self._rows: list[_Row[ResultT_co]] = []
        #: a batch that waits for another to run beside
        self._held: list[_Row[ResultT_co]] = []
        #: whether batches had too little memory side by side
        self._alone = False
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
        rows, self._rows = self._rows, []
        model = self._model
        if not isinstance(model, Starting) or isinstance(model, Attending):
            if rows:
                self._take(rows, lambda: model(_segments(rows)))
            return
        lanes = 1 if self._alone else model.lanes
        if rows and lanes > 1 and not self._held and not self._underway:
            self._held = rows
            return
        if rows:
            self._begin(model, beside=lanes > 1)
            self._underway.append((rows, model.start(_segments(rows), beside=lanes > 1)))
        most = _MOST_UNDERWAY if lanes == 1 else _MOST_IN_LANE * lanes
        while self._underway and (len(self._underway) >= most or self._underway[0][1].ready()):
            self._settle()

    def _begin(self, model: Starting, *, beside: bool) -> None:
        """Begin the batch that waits, if one does."""
        if self._held:
            rows, self._held = self._held, []
            self._underway.append((rows, model.start(_segments(rows), beside=beside)))

    def flush(self) -> None:
        """Run what is there, and wait until all outputs are handed on."""
        self.run()
        if isinstance(self._model, Starting):
            self._begin(self._model, beside=False)
        self.settle()

    def close(self) -> None:
        """Give up what has not begun."""
        for _, underway in self._underway:
            underway.cancel()

    def settle(self) -> None:
        """Wait for what is under way, and begin nothing more."""
        while self._underway:
            self._settle()

    def drain(self) -> None:
        """The same after an error, whatever else goes wrong."""
        while self._underway:
            with suppress(Exception):
                self._settle()

    def _settle(self) -> None:
        rows, underway = self._underway.popleft()
        try:
            self._take(rows, underway.result)
        except PartlyRunError:
            raise
        except DeviceError:
            if self._alone or not isinstance(self._model, Starting) or self._model.lanes == 1:
                raise
            self._run_alone(rows)

    def _run_alone(self, rows: list[_Row[ResultT_co]]) -> None:
        """Run once more what had too little memory beside others, and from now on nothing side by side."""
        self._alone = True
        for _, underway in self._underway:
            with suppress(Exception):
                underway.result()  # asked for again in its turn
        self._take(rows, lambda: self._model(_segments(rows)))

    def _take(
        self, rows: Sequence[_Row[ResultT_co]], result: Callable[[], Sequence[NDArray[np.float32]]]
    ) -> None:
        """Hand on the outputs of rows, or those of the first of them where the memory ended there."""
        try:
            outputs = result()
        except PartlyRunError as error:
            if not isinstance(self._model, Attending):
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


def _segments(rows: Sequence[_Row[ResultT_co]]) -> list[Segment]:
    return [row.segment for row in rows]


def _padded_seconds(rows: Sequence[_Row[ResultT_co]]) -> float:
    """Audio of a batch, every row as long as the longest."""
    return len(rows) * max(row.chunk.samples for row in rows) / SAMPLE_RATE

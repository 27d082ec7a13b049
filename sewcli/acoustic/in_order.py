"""Batches through the network: several under way, their outputs in the order of the batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.model import AcousticModel, PartlyRunError, Segment, Starting, Underway, attending
from sewcli.errors import DeviceError

#: batches under way beside a GPU: one is computed while the next is put together and copied
_MOST_UNDERWAY = 2
#: for each lane of a CPU: they are handed on in order, and beside a long one others are to have work
_MOST_IN_LANE = 3

BatchT = TypeVar("BatchT")
Outputs = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class _Batch(Generic[BatchT]):
    given: BatchT
    segments: Sequence[Segment]


@dataclass(frozen=True)
class _Begun(Generic[BatchT]):
    batch: _Batch[BatchT]
    underway: Underway
    beside: bool


class InOrder(Generic[BatchT]):
    """Has a model run batches, and hands their outputs on in order.

    A model that can begin a batch before the last one is through (`Starting`) is given the next one then: a
    card computes while the host reads, pads, copies and decodes, and a CPU computes several side by side. The
    first of these waits for a second one, because alone it is faster with all threads.

    Args:
        model: the network.
        take: given each batch with its outputs; where something goes wrong, before that is raised, with those
            of its first segments that there are.
    """

    def __init__(self, model: AcousticModel, take: Callable[[BatchT, Outputs], None]) -> None:
        self._model = model
        # asked once: it takes as long as a clip takes to decode
        self._starting = model if isinstance(model, Starting) else None
        self._is_attending = attending(model) is not None
        self._take = take
        #: a batch that waits for another to run beside
        self._held: _Batch[BatchT] | None = None
        #: whether batches had too little memory side by side
        self._alone = False
        self._underway: deque[_Begun[BatchT]] = deque()

    @property
    def most_seconds(self) -> float:
        """Padded audio that a batch may have."""
        return self._starting.most_seconds if self._starting is not None else float("inf")

    @property
    def idle(self) -> bool:
        """Whether all batches are through."""
        return self._held is None and not self._underway

    def run(self, batch: BatchT, segments: Sequence[Segment]) -> None:
        """Begin a batch, and hand on the outputs of those that are through.

        Raises:
            DeviceError: the memory is not enough for one segment, of this batch or of one before it.
        """
        new = _Batch(batch, segments)
        model = self._starting
        if model is None or self._is_attending:
            self._finish(new, lambda: self._model(segments))
            return
        beside = model.lanes > 1 and not self._alone
        if beside and self.idle:
            self._held = new
            return
        self._begin_held(model, beside=beside)
        self._begin(model, new, beside=beside)
        most = _MOST_IN_LANE * model.lanes if beside else _MOST_UNDERWAY
        while self._underway and (len(self._underway) >= most or self._underway[0].underway.ready()):
            self._settle_first()

    def flush(self) -> None:
        """Run what is held, and wait until all outputs are handed on."""
        if self._starting is not None:
            self._begin_held(self._starting, beside=False)
        while self._underway:
            self._settle_first()

    def drain(self) -> None:
        """Hand on what was begun before a batch that went wrong, as far as nothing else does."""
        with suppress(Exception):
            while self._underway:
                self._settle_first()

    def close(self) -> None:
        """Give up what has not begun."""
        for begun in self._underway:
            begun.underway.cancel()

    def _begin_held(self, model: Starting, *, beside: bool) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._begin(model, held, beside=beside)

    def _begin(self, model: Starting, batch: _Batch[BatchT], *, beside: bool) -> None:
        self._underway.append(_Begun(batch, model.start(batch.segments, beside=beside), beside))

    def _settle_first(self) -> None:
        begun = self._underway.popleft()
        try:
            self._finish(begun.batch, lambda: self._result(begun))
        except BaseException:
            # what was begun after it would leave a gap before it
            self.close()
            self._underway.clear()
            raise

    def _result(self, begun: _Begun[BatchT]) -> Outputs:
        try:
            return begun.underway.result()
        except DeviceError:
            if not begun.beside:
                raise
        # too little memory beside others: once more alone, and from now on nothing side by side
        self._alone = True
        for other in self._underway:
            with suppress(Exception):
                other.underway.result()  # asked for again in its turn
        return self._model(begun.batch.segments)

    def _finish(self, batch: _Batch[BatchT], result: Callable[[], Outputs]) -> None:
        try:
            outputs = result()
        except Exception as error:
            if not self._is_attending:
                self._take(batch.given, error.outputs if isinstance(error, PartlyRunError) else [])
            raise
        if len(outputs) != len(batch.segments):
            raise RuntimeError(f"{len(outputs)} outputs of {len(batch.segments)} segments")
        self._take(batch.given, outputs)

"""Recordings under way, in the order of the sources: whose chunks are through, whose results are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from sewcli.audio import shown
from sewcli.errors import InputError
from sewcli.reading.recording import Recording
from sewcli.results import Failure

if TYPE_CHECKING:
    from sewcli.pipeline.consumer import Consumer

#: results that may be waited for beside those that the threads make
_WAITING = 2
#: more than these while their recordings last so many seconds together, and are no more than so many
_WAITING_SECONDS = 600.0
_MOST_WAITING = 64

ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True)
class Makers:
    """Threads that make the results while the network runs, for consumers that mostly wait in `result`.

    Attributes:
        threads: how many.
        interrupt: called at the end of the run, whether it is complete or not: what they wait for ends.
    """

    threads: int
    interrupt: Callable[[], object]


@dataclass
class Job(Generic[ResultT_co]):
    """One recording under way.

    Attributes:
        recording: its samples.
        consumer: makes its result.
        chunks: of the recording.
    """

    recording: Recording
    consumer: Consumer[ResultT_co]
    chunks: int
    #: made in a thread of its own, once nothing is waited for
    result: Future[ResultT_co | Failure] | None = None
    #: in place of the result of one that has gone wrong
    failure: Failure | None = None
    #: chunks that were put into batches
    begun: int = 0
    #: chunks whose outputs are handed on
    taken: int = 0
    #: what hands on the outputs that came before that of an earlier chunk, by the number of theirs
    _early: dict[int, Callable[[], None]] = field(default_factory=dict)

    @property
    def is_through(self) -> bool:
        """Whether the network is done with it."""
        return self.failure is not None or self.taken == self.chunks

    def take(self, number: int, hand_on: Callable[[], None]) -> None:
        """Hand on the output of a chunk, from 0, when those of all chunks before it are."""
        if self.failure is not None:
            self.consumer.pass_over()
            return
        self._early[number] = hand_on
        try:
            while self.taken in self._early:
                self._early.pop(self.taken)()
                self.taken += 1
        except InputError as error:
            self.fail(error)

    def fail(self, error: InputError) -> None:
        """Have it fail: the outputs of its other chunks are not waited for."""
        self.failure = self._told(error)
        self._early.clear()

    def make(self) -> ResultT_co | Failure:
        """Its result, or a failure where it alone has none: the name of its picture is too long."""
        if self.failure is not None:
            return self.failure
        try:
            return self.consumer.result(self.recording)
        except InputError as error:
            return self._told(error)

    def _told(self, error: InputError) -> Failure:
        """Its failure, whose message names it."""
        source, message = self.recording.source, str(error)
        named = message if message.startswith(shown(source)) else f"{shown(source)}: {message}"
        return source.failure(error.code, named)

    def close(self) -> None:
        """Give its resources back."""
        self.consumer.close()
        self.recording.close()


class Line(deque[Job[ResultT_co] | Failure]):
    """Recordings under way and failures, in the order of the sources."""

    def __init__(self, makers: Makers | None) -> None:
        super().__init__()
        self._makers = makers
        self._threads = None if makers is None else ThreadPoolExecutor(makers.threads, "sew-maker")

    def finished(self, *, every: bool = False) -> Iterator[ResultT_co | Failure]:
        """Take what is complete from the front, waiting where too many are being made.

        Args:
            every: wait for all of those that the network is done with.
        """
        if self._threads is not None:
            self._begin(self._threads)
        while self:
            first = self[0]
            if isinstance(first, Job):
                if not first.is_through:
                    return
                if first.result is None:
                    result = first.make()
                elif first.result.done() or every or self._is_full():
                    result = first.result.result()
                else:
                    return
                first.close()
                self.popleft()
                yield result
            else:
                yield self.popleft()  # type: ignore[misc]

    def _begin(self, threads: ThreadPoolExecutor) -> None:
        """Have the results made of those that the network is done with."""
        for job in self:
            if isinstance(job, Job):
                if not job.is_through:
                    return
                if job.result is None:
                    job.result = threads.submit(job.make)

    def _is_full(self) -> bool:
        """Whether no more recordings may wait for their results."""
        assert self._makers is not None
        made = [job.recording.duration for job in self if isinstance(job, Job) and job.result is not None]
        few = len(made) <= self._makers.threads + _WAITING
        return not few and (len(made) > _MOST_WAITING or sum(made) > _WAITING_SECONDS)

    def close(self) -> None:
        """Give back what nobody took."""
        if self._threads is not None and self._makers is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._makers.interrupt()
            self._threads.shutdown()
        for left in self:
            if isinstance(left, Job):
                left.close()

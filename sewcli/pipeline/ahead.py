"""Work done ahead of its turn, by threads, in the order it was asked for.

The threads are daemons: one that waits for a line on standard input must not keep the process from
ending.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import Generic, TypeVar, cast

#: how the names of the threads begin
THREADS = "sew-ahead"
#: seconds for threads to end; one that reads standard input may never do
_GRACE = 0.5

T = TypeVar("T")
R = TypeVar("R")


class Ahead(Generic[T, R]):
    """Applies `work` to items ahead of the one that takes the results.

    At any time at most `depth` results wait, finished or under way, however many items there are, and no work
    begins while those that are finished weigh more than `most`, but that on the item whose turn it is.

    Args:
        items: pulled by a thread of their own, one after the other; an exception they raise comes out
            in its turn. A generator is closed at the end.
        work: called in one of the threads; likewise.
        discard: called with each result that nobody took, at the end.
        workers: threads that work.
        depth: results that may wait.
        weigh: how much a result weighs.
        most: of all that wait; any one may weigh more.
    """

    def __init__(
        self,
        items: Iterable[T],
        work: Callable[[T], R],
        discard: Callable[[R], object],
        *,
        workers: int = 1,
        depth: int = 4,
        weigh: Callable[[R], float] = lambda _: 0.0,
        most: float = math.inf,
    ) -> None:
        self._items, self._work, self._discard = items, work, discard
        self._weigh, self._most = weigh, most
        self._weight = 0.0
        #: told when a result is taken, or all is over
        self._lighter = threading.Condition()
        self._room = threading.Semaphore(depth)
        self._stopped = threading.Event()
        self._tasks: queue.SimpleQueue[tuple[T, Future[R]] | None] = queue.SimpleQueue()
        #: in order; None is the end
        self._results: queue.SimpleQueue[Future[R] | None] = queue.SimpleQueue()
        #: begun and not handed out; the feeder adds to them under the lock, and nothing once it is stopped
        self._begun: deque[Future[R]] = deque()
        self._lock = threading.Lock()
        self._workers = workers
        self._threads = [
            threading.Thread(target=target, name=f"{THREADS}{target.__name__}", daemon=True)
            for target in (self._feed, *[self._serve] * workers)
        ]
        for thread in self._threads:
            thread.start()

    def results(self, patience: float | None = None) -> Iterator[R | None]:
        """The results in the order of the items, and None each time `patience` seconds brought none."""
        while True:
            try:
                future = self._results.get(timeout=patience)
            except queue.Empty:
                yield None
                continue
            if future is None:
                return
            while not wait([future], patience).done:
                yield None
            self._begun.popleft()
            self._room.release()
            result = future.result()
            with self._lighter:
                self._weight -= self._weigh(result)
                self._lighter.notify_all()
            yield result

    def stop(self) -> None:
        """Begin nothing more, give back what nobody took, and wait a moment for the threads to end."""
        with self._lock:
            self._stopped.set()
            left = list(self._begun)
        self._room.release()
        with self._lighter:
            self._lighter.notify_all()
        for future in left:
            future.add_done_callback(self._give_back)
        latest = time.monotonic() + _GRACE
        for thread in self._threads:
            thread.join(max(0.0, latest - time.monotonic()))

    def _give_back(self, future: Future[R]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._discard(future.result())

    def _feed(self) -> None:
        try:
            for item in self._items:
                self._room.acquire()
                future: Future[R] = Future()
                with self._lock:
                    if self._stopped.is_set():
                        break
                    self._begin(future)
                self._tasks.put((item, future))
        except BaseException as error:
            failed: Future[R] = Future()
            failed.set_exception(error)
            with self._lock:
                if not self._stopped.is_set():
                    self._begin(failed)
        if isinstance(self._items, Generator):
            self._items.close()  # with the threads that it may have
        self._results.put(None)
        for _ in range(self._workers):
            self._tasks.put(None)

    def _begin(self, future: Future[R]) -> None:
        self._begun.append(future)
        self._results.put(future)

    def _wait_for_room(self, future: Future[R]) -> None:
        def is_free() -> bool:
            return self._weight <= self._most or self._begun[0] is future or self._stopped.is_set()

        with self._lighter:
            self._lighter.wait_for(is_free)

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            item, future = task
            self._wait_for_room(future)
            if self._stopped.is_set():
                future.cancel()
                continue
            try:
                result = self._work(item)
                with self._lighter:
                    self._weight += self._weigh(result)
                future.set_result(result)
            except BaseException as error:
                future.set_exception(error)


def mapped_ahead(items: Iterable[T], work: Callable[[T], R], *, workers: int) -> Generator[R, None, None]:
    """`work` done on each item, by so many threads ahead of the one that takes; 0 is that one itself."""
    if not workers:
        yield from map(work, items)
        return
    ahead = Ahead(items, work, lambda _: None, workers=workers, depth=2 * workers)
    try:
        for result in ahead.results():
            yield cast(R, result)  # None is for who gives a patience
    finally:
        ahead.stop()

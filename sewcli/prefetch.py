"""What comes next, made by a thread of its own while the one that takes it works on what came before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """The same items, each made ahead of its turn; an error comes in its turn too.

    Close it before what `items` reads from is closed: the thread has ended then.

    Args:
        items: pulled by the thread, one after the other; none of them is None.
        depth: items that wait at most.
    """
    ready: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(depth)
    stopped = threading.Event()

    def fill() -> None:
        try:
            while not stopped.is_set():
                room.acquire()
                if stopped.is_set() or (item := next(items, None)) is None:
                    break
                ready.put(item)
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    thread = threading.Thread(target=fill, name="sew-prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()
        thread.join()

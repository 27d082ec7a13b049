"""Beam search in a process of its own, which `sewcli.decoding.search_workers` starts.

It needs neither torch nor the model: a request names what to search with and brings the open file of the
log-posteriors, the answer is a hypothesis. The process ends when the other one is gone, however that went.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import TYPE_CHECKING

from sewcli.decoding.frames import mapped
from sewcli.decoding.hypothesis import Hypothesis
from sewcli.decoding.search import Setup
from sewcli.errors import InputError, SewError

if TYPE_CHECKING:
    from sewcli.decoding.beam import BeamSearch


@dataclass(frozen=True)
class Request:
    """Frames to search through.

    Attributes:
        setup: to search with.
        frames: rows of the file that is sent after it; 0, and no file, to get ready only, without an answer.
    """

    setup: Setup
    frames: int


@dataclass(frozen=True)
class Answer:
    """To one request.

    Attributes:
        found: the hypothesis, or what is wrong.
        messages: level and text of what is to be told.
    """

    found: Hypothesis | Exception
    messages: tuple[tuple[int, str], ...]


class _Messages(logging.Handler):
    """Keeps messages for the next answer."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._kept.append((record.levelno, record.getMessage()))

    def taken(self) -> tuple[tuple[int, str], ...]:
        """Those kept so far, which are forgotten."""
        messages, self._kept = tuple(self._kept), []
        return messages


class _Searcher:
    """Searches, with what the last request was searched with where that is the same."""

    def __init__(self) -> None:
        self._setup: Setup | None = None
        self._search: BeamSearch | None = None

    def ready(self, setup: Setup) -> BeamSearch:
        """The search (SewError where it cannot be had)."""
        if self._search is None or setup != self._setup:
            self._search = setup.load()
            self._setup = setup
        return self._search

    def found(self, request: Request, file: int) -> Hypothesis | Exception:
        """The hypothesis, or what is wrong; the file is closed."""
        try:
            with os.fdopen(file, "rb") as rows:
                columns = len(request.setup.vocabulary.tokens)
                return self.ready(request.setup).search(mapped(rows, request.frames, columns))
        except MemoryError:
            return InputError("there is not enough memory to decode it", code="no_memory")
        except SewError as error:
            return error
        except Exception as error:
            error.add_note(traceback.format_exc())
            return error


def main() -> None:
    """Answer the requests that come over standard input, which is a socket."""
    connection = Connection(0)
    requests: queue.SimpleQueue[tuple[Request, int | None]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, requests), daemon=True).start()
    messages = _Messages()
    logger = logging.getLogger("sewcli")
    logger.handlers, logger.propagate = [messages], False
    logger.setLevel(logging.INFO)
    searcher = _Searcher()
    while True:
        request, file = requests.get()
        if file is None:
            with contextlib.suppress(SewError):  # told when it is asked for
                searcher.ready(request.setup)
            continue
        found = searcher.found(request, file)
        try:
            connection.send(Answer(found, messages.taken()))
        except OSError:  # nobody waits for it
            return


def _receive(connection: Connection, requests: queue.SimpleQueue[tuple[Request, int | None]]) -> None:
    """Take requests in, also while a search runs; without the other process there is nothing left to do."""
    try:
        while True:
            request = connection.recv()
            requests.put((request, recv_handle(connection) if request.frames else None))
    finally:
        os._exit(0)

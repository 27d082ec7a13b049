"""Beam search in a process of its own, which `sewcli.decoding.search_workers` starts.

It needs neither torch nor the model: a request names what to search with and brings the open file of the
log-posteriors, the answer is a hypothesis.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from sewcli.decoding.frames import mapped
from sewcli.decoding.hypothesis import Hypothesis
from sewcli.decoding.search import Setup
from sewcli.errors import InputError
from sewcli.processes.open_files import received_file
from sewcli.processes.serving import Messages, Told, portable, serve

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
        messages: what is to be told.
    """

    found: Hypothesis | Exception
    messages: Told


class _Searcher:
    """Searches, with what the last request was searched with where that is the same."""

    def __init__(self) -> None:
        self._setup: Setup | None = None
        self._search: BeamSearch | None = None
        self._messages = Messages()

    def answers(self, received: tuple[Request, int | None]) -> Iterator[Answer]:
        """The answer to a request, if it is to have one."""
        request, file = received
        if request.frames:
            yield Answer(self._found(request, file), self._messages.taken())
            return
        with contextlib.suppress(Exception):  # told when it is asked for
            self._ready(request.setup)

    def _ready(self, setup: Setup) -> BeamSearch:
        """The search (SewError where it cannot be had)."""
        if self._search is None or setup != self._setup:
            self._search = setup.load()
            self._setup = setup
        return self._search

    def _found(self, request: Request, file: int | None) -> Hypothesis | Exception:
        """The hypothesis, or what is wrong; the file is closed."""
        if file is None:
            return InputError(f"its frames cannot be read: {os.strerror(errno.EMFILE)}", code="unreadable")
        try:
            with os.fdopen(file, "rb") as rows:
                columns = len(request.setup.vocabulary.tokens)
                return self._ready(request.setup).search(mapped(rows, request.frames, columns))
        except Exception as error:
            return portable(error, "decode it")


def main() -> None:
    """Answer requests for as long as there is somebody to ask."""
    serve(_Searcher().answers, _received)


def _received(connection: Connection) -> tuple[Request, int | None]:
    request: Request = connection.recv()
    return request, received_file(connection) if request.frames else None

"""Decoding of audio in a process of its own, which `sewcli.reading.read_workers` starts.

It needs no torch. A request names a file, the answer is what was found and, after it, the open file of the
samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from sewcli.inputs.source import Source
from sewcli.processes.open_files import send_file
from sewcli.processes.sending import send
from sewcli.processes.serving import Messages, Told, portable, serve
from sewcli.reading.kept import How, Measures, kept, room_for
from sewcli.reading.samples import Samples

Identity = tuple[int, int]
"""Device and number of a file: two paths with the same ones lead to the same file."""


def identity(file: Path) -> Identity:
    """Of a file (OSError or ValueError where there is none)."""
    status = file.stat()
    return status.st_dev, status.st_ino


@dataclass(frozen=True)
class Request:
    """A source to read.

    Attributes:
        source: whose file is a regular one with an absolute path.
        identity: of the file.
        how: to read it.
    """

    source: Source
    identity: Identity
    how: How


@dataclass(frozen=True)
class Answer:
    """To one request.

    Attributes:
        found: the measures; or what is wrong; or None where the path leads to another file here than there,
            as /dev/stdin does.
        samples: how many were measured, whose file follows; else 0, and none does.
        messages: what is to be told.
    """

    found: Measures | Exception | None
    samples: int
    messages: Told


class _Reader:
    """Reads, and holds what was sent last: a system may lose a file that is closed while it is on its way."""

    def __init__(self) -> None:
        self._messages = Messages()
        self._samples: Samples | None = None

    def answers(self, request: Request) -> Iterator[Answer]:
        """The answer to a request."""
        if self._samples is not None:
            self._samples.close()
            self._samples = None
        found = self._found(request)
        count = 0 if self._samples is None else len(self._samples)
        yield Answer(found, count, self._messages.taken())

    def _found(self, request: Request) -> Measures | Exception | None:
        try:
            if identity(request.source.file) != request.identity:
                return None
        except OSError:
            return None
        try:
            samples, measures = kept(request.source, request.how)
            with room_for(request.source):
                samples.fileno()
        except Exception as error:
            return portable(error, "read it")
        self._samples = samples
        return measures

    def send(self, connection: Connection, answer: Answer) -> None:
        """Send an answer, and the file of the samples where there are some."""
        send(connection, answer)
        if self._samples is not None:
            send_file(connection, self._samples.fileno())


def main() -> None:
    """Answer requests for as long as there is somebody to ask."""
    reader = _Reader()
    serve(reader.answers, send=reader.send)

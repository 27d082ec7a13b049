"""Decoding of audio in a process of its own, which `sewcli.reading.read_workers` starts.

It needs no torch. A request names a file, the answers are its blocks of samples and then their measures.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sewcli.inputs.source import Source
from sewcli.processes.serving import Messages, Told, portable, serve
from sewcli.reading.measured import How, Measures, measured

Identity = tuple[int, int]
"""Device and number of a file: two paths with the same ones lead to the same file."""

Answering = Generator[NDArray[np.float32], None, Measures | Exception | None]
"""The blocks, and at their end what was found; see `End`."""


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
class End:
    """What comes after the blocks and a message without a byte.

    Attributes:
        found: the measures; or what is wrong; or None, without any block, where the path leads to another
            file here than there, as /dev/stdin does.
        messages: what is to be told.
    """

    found: Measures | Exception | None
    messages: Told


def main() -> None:
    """Answer requests for as long as there is somebody to ask."""
    messages = Messages()

    def answers(request: Request) -> Iterator[NDArray[np.float32] | End]:
        found = yield from _blocks(request)
        yield End(found, messages.taken())

    serve(answers, send=_send)


def _send(connection: Connection, answer: NDArray[np.float32] | End) -> None:
    """Send a block as it lies in memory, which saves the other side two copies."""
    if isinstance(answer, End):
        connection.send_bytes(b"")
        connection.send(answer)
    elif answer.size:
        connection.send_bytes(np.ascontiguousarray(answer, dtype=np.float32).data)


def _blocks(request: Request) -> Answering:
    try:
        if identity(request.source.file) != request.identity:
            return None
    except OSError:
        return None
    try:
        with closing(measured(request.source, request.how)) as blocks:
            return (yield from blocks)
    except Exception as error:
        return portable(error, "read it")

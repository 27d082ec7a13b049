"""Open files that go from one process to another, over the socket between them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection


def send_file(connection: Connection, file: int) -> None:
    """Send an open file (OSError where the other side is gone); it may be closed once it is received."""
    with _socket(connection) as end:
        socket.send_fds(end, [b" "], [file])


def received_file(connection: Connection) -> int | None:
    """The file that comes over a connection; None where this process may have no more of them.

    Raises:
        EOFError: the other side is gone.
    """
    with _socket(connection) as end:
        data, files, _, _ = socket.recv_fds(end, 1, 1)
    if not data:
        raise EOFError
    for file in files:
        os.set_inheritable(file, False)
    return files[0] if files else None


@contextmanager
def _socket(connection: Connection) -> Iterator[socket.socket]:
    """The socket of a connection, which stays its own; no file is opened for it."""
    end = socket.socket(fileno=connection.fileno())
    try:
        yield end
    finally:
        end.detach()

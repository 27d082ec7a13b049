"""How processes send each other something."""

from __future__ import annotations

import pickle
from multiprocessing.connection import Connection


def send(connection: Connection, message: object) -> None:
    """As `Connection.send`, which takes a view of an io.BytesIO (OSError where nobody is there any more).

    An error of that one holds the view. Where a cycle holds the error, Python 3.12.1 crashes as it looks for
    garbage, and 3.13 writes of a BufferError.
    """
    connection.send_bytes(pickle.dumps(message))

"""Audio in memory or in an open file, in any container, as a source."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sewcli.errors import UsageError
from sewcli.inputs.source import Source

Encoded = bytes | bytearray | memoryview | IO[bytes]
"""The bytes of a file, or a file that is open in binary mode."""

#: what results and messages call them
BYTES, STREAM = "<bytes>", "<stream>"


@dataclass(frozen=True)
class StreamSource(Source):
    """A file that is open, which is copied from where it stands when its turn comes.

    Attributes:
        stream: in binary mode.
    """

    stream: IO[bytes] = field(default_factory=io.BytesIO, compare=False, repr=False)


def is_encoded(given: Any) -> bool:
    """Whether something is bytes or an open file."""
    return isinstance(given, bytes | bytearray | memoryview) or hasattr(given, "read")


def stream_source(given: Encoded) -> StreamSource:
    """The source of bytes or of an open file (UsageError where that is closed, or open for text)."""
    if isinstance(given, bytes | bytearray | memoryview):
        return StreamSource(BYTES, Path(BYTES), stream=io.BytesIO(given))
    name = getattr(given, "name", None)
    path = name if isinstance(name, str) and name else STREAM
    if getattr(given, "closed", False):
        raise UsageError(f"{path}: the file is closed", hint="give it while it is open")
    if not isinstance(given.read(0), bytes):
        raise UsageError(f"{path}: the file is open for text", hint='open it with the mode "rb"')
    return StreamSource(path, Path(path), stream=given)

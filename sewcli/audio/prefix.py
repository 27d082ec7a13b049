"""A file whose first bytes are replaced, or a stretch of one, for headers that hide the audio behind them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO


def open_with_prefix(prefix: bytes, file: Path, start: int, end: int | None = None) -> BinaryIO:
    """Open a file as if it were the prefix and then the file's own bytes [start, end)."""
    return io.BufferedReader(_Prefixed(prefix, file, start, end))


class _Prefixed(io.RawIOBase):
    """Some bytes, and then a stretch of a file."""

    def __init__(self, prefix: bytes, file: Path, start: int, end: int | None) -> None:
        self._prefix = prefix
        self._file = file.open("rb")
        self._start = start
        self._size = len(prefix) + (file.stat().st_size if end is None else end) - start
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        behind = self._position - len(self._prefix)
        if behind < 0:
            piece = self._prefix[self._position :][: len(buffer)]
        else:
            self._file.seek(self._start + behind)
            piece = self._file.read(max(0, min(len(buffer), self._size - self._position)))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()

"""Frames of one recording that wait in a temporary file until the last one has come."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import FRAME_SECONDS
from sewcli.errors import InputError, SewError
from sewcli.temporary import no_room

#: bytes up to which the rows of a file are copied to memory: a mapped array keeps a file open, and a program
#: may keep thousands of results
_COPIED = 4 << 20


class FrameFile:
    """Rows of float32, one a frame, on disk; in memory they are what the system keeps of a mapped file.

    Args:
        columns: values in a row.
        hint: what to do where there is no room for them; by default how much room logits need.
        error: to raise then; SewError for the rows of several recordings, which all fail.

    Raises:
        InputError: there is no room for a file.
    """

    def __init__(self, columns: int, hint: str | None = None, *, error: type[SewError] = InputError) -> None:
        megabytes = 3600 / FRAME_SECONDS * columns * 4 / 1e6
        self._hint = hint or f"set TMPDIR to a directory with {megabytes:.0f} MB for each hour of audio"
        self._error = error
        with self._room():
            self._file = tempfile.TemporaryFile(prefix="sew-frames-")  # noqa: SIM115 - closed by close()
        self._columns = columns
        self._frames = 0

    def __len__(self) -> int:
        return self._frames

    def append(self, rows: NDArray[np.float32]) -> None:
        """Take in the next rows, shape (T, columns) (InputError where there is no room for them)."""
        with self._room():
            self._file.write(rows.tobytes())
        self._frames += rows.shape[0]

    def mapped(self) -> NDArray[np.float32]:
        """All rows, shape (T, columns), T > 0; they stay readable after close(); not to be changed.

        Raises:
            InputError: there is no room for the last of them.
        """
        self._flush()
        if self._frames * self._columns * 4 <= _COPIED:
            self._file.seek(0)
            return np.fromfile(self._file, np.float32).reshape(-1, self._columns)
        return mapped(self._file, self._frames, self._columns)

    def fileno(self) -> int:
        """The open file with all rows, for another process to map (InputError as `mapped`)."""
        self._flush()
        return self._file.fileno()

    def close(self) -> None:
        """Give the file back."""
        with suppress(OSError):  # no room for what nobody wants any more
            self._file.close()

    def _flush(self) -> None:
        with self._room():
            self._file.flush()

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise no_room(self._error, "the frames", error, self._hint) from error


def mapped(file: IO[bytes], frames: int, columns: int) -> NDArray[np.float32]:
    """The rows of such a file, shape (frames, columns), frames > 0; they stay readable when it is closed."""
    return np.memmap(file, dtype=np.float32, mode="r", shape=(frames, columns))

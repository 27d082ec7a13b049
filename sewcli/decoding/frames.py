"""Frames of one recording that wait in a temporary file until the last one has come."""

from __future__ import annotations

import tempfile
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import FRAME_SECONDS
from sewcli.errors import SewError

#: bytes up to which the rows of a file are copied to memory: a mapped array keeps a file open, and a program
#: may keep thousands of results
_COPIED = 4 << 20


class FrameFile:
    """Rows of float32, one a frame, on disk; in memory they are what the system keeps of a mapped file.

    Args:
        columns: values in a row.
        hint: what to do where there is no room for them; by default how much room logits need.
    """

    def __init__(self, columns: int, hint: str | None = None) -> None:
        megabytes = 3600 / FRAME_SECONDS * columns * 4 / 1e6
        self._hint = hint or f"set TMPDIR to a directory with {megabytes:.0f} MB for each hour of audio"
        self._file = tempfile.TemporaryFile(prefix="sew-frames-")  # noqa: SIM115 - closed by close()
        self._columns = columns
        self._frames = 0

    def __len__(self) -> int:
        return self._frames

    def append(self, rows: NDArray[np.float32]) -> None:
        """Take in the next rows, shape (T, columns) (SewError where there is no room for them)."""
        try:
            self._file.write(rows.tobytes())
        except OSError as error:
            raise SewError(
                f"no room for the frames in {tempfile.gettempdir()}: {error.strerror}",
                hint=self._hint,
                code="no_space",
            ) from error
        self._frames += rows.shape[0]

    def mapped(self) -> NDArray[np.float32]:
        """All rows, shape (T, columns), T > 0; they stay readable after close(); not to be changed."""
        self._file.flush()
        if self._frames * self._columns * 4 <= _COPIED:
            self._file.seek(0)
            return np.fromfile(self._file, np.float32).reshape(-1, self._columns)
        return mapped(self._file, self._frames, self._columns)

    def fileno(self) -> int:
        """The open file with all rows, for another process to map."""
        self._file.flush()
        return self._file.fileno()

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def mapped(file: IO[bytes], frames: int, columns: int) -> NDArray[np.float32]:
    """The rows of such a file, shape (frames, columns), frames > 0; they stay readable when it is closed."""
    return np.memmap(file, dtype=np.float32, mode="r", shape=(frames, columns))

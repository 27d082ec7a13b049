"""The samples of one recording, held until it is done: short ones in memory, long ones in a temporary file."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sewcli.audio import SAMPLE_RATE

#: held in memory; the first sample beyond has all of them moved to a file
MOST_IN_MEMORY = 120 * SAMPLE_RATE
#: room that is taken at first; of what is not filled, the system gives no memory
_ROOM = 16 * SAMPLE_RATE


class Samples:
    """Takes samples in block by block, and gives any stretch of them back.

    What it raises is an OSError of the file's.
    """

    def __init__(self) -> None:
        self._count = 0
        self._room = np.empty(_ROOM, dtype=np.float32)
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def in_memory(self) -> bool:
        """Whether there is no file."""
        return self._file is None

    def append(self, block: NDArray[np.float32]) -> None:
        """Take in the next ones, shape (n,), a copy of them."""
        count = self._count + block.size
        if self._file is None and count > MOST_IN_MEMORY:
            self._file = tempfile.TemporaryFile(prefix="sew-audio-")  # noqa: SIM115 - closed by close()
            self._file.write(self._room[: self._count].data)
            self._room = self._room[:0].copy()
        if self._file is not None:
            self._file.write(np.ascontiguousarray(block, dtype=np.float32).data)
        else:
            if count > self._room.size:
                grown = np.empty(min(max(count, 2 * self._room.size), MOST_IN_MEMORY), dtype=np.float32)
                grown[: self._count] = self._room[: self._count]
                self._room = grown
            self._room[self._count : count] = block
        self._count = count

    def finish(self) -> None:
        """Take note that these were all."""
        if self._file is not None:
            self._file.flush()

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Those from `start` to `stop`, shape (stop - start,), not to be changed."""
        if self._file is not None:
            self._file.seek(start * 4)
            return np.frombuffer(self._file.read((stop - start) * 4), dtype=np.float32)
        held = self._room[start : min(stop, self._count)]
        held.flags.writeable = False
        return held

    def close(self) -> None:
        """Give memory and file back."""
        self._room = self._room[:0].copy()
        if self._file is not None:
            with suppress(OSError):  # no room for what nobody wants any more
                self._file.close()

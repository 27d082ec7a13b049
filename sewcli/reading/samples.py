"""The samples of one recording, held until it is done: short ones in memory, long ones in a temporary file.

Both can go to another process as an open file, whose content the system holds.
"""

from __future__ import annotations

import os
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
_PREFIX = "sew-audio-"


class Samples:
    """Takes samples in block by block, and gives any stretch of them back.

    What goes wrong is an OSError of a file.
    """

    def __init__(self) -> None:
        self._count = 0
        #: with those in memory at its beginning
        self._room = np.empty(_ROOM, dtype=np.float32)
        self._file: IO[bytes] | None = None
        #: the process that has those of another, or None
        self._receiver: int | None = None

    @classmethod
    def received(cls, file: int, count: int) -> Samples:
        """Those of another process.

        Args:
            file: what `fileno` gave there, which becomes theirs.
            count: how many there are, at least one.
        """
        samples = cls()
        samples._count = count
        opened = os.fdopen(file, "rb")
        if count > MOST_IN_MEMORY:
            samples._file = opened
            samples._receiver = os.getpid()
        else:
            with opened:  # many recordings may be open, and a process may have few files
                opened.seek(0)
                samples._room = np.fromfile(opened, np.float32, count)
        return samples

    def __len__(self) -> int:
        return self._count

    @property
    def in_memory(self) -> bool:
        """Whether they are in no file on a disk."""
        return self._count <= MOST_IN_MEMORY

    def append(self, block: NDArray[np.float32]) -> None:
        """Take in the next ones, shape (n,), a copy of them."""
        count = self._count + block.size
        if self._file is None and count > MOST_IN_MEMORY:
            self._file = tempfile.TemporaryFile(prefix=_PREFIX)  # noqa: SIM115 - closed by close()
            self._file.write(self._room[: self._count].data)
            self._room = np.empty(0, dtype=np.float32)
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
        elif 2 * self._count < self._room.size:
            self._room = self._room[: self._count].copy()

    def fileno(self) -> int:
        """An open file of all of them for another process, see `received`; closed by `close`."""
        if self._file is None:
            self._file = _memory_file()
            self._file.write(self._room[: self._count].data)
            self._file.flush()
        return self._file.fileno()

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Those from `start` to `stop`, shape (stop - start,), not to be changed."""
        if not self.in_memory:
            assert self._file is not None  # all are in it
            self._file.seek(start * 4)
            return np.frombuffer(self._file.read((stop - start) * 4), dtype=np.float32)
        held = self._room[start : min(stop, self._count)]
        held.flags.writeable = False
        return held

    def close(self) -> None:
        """Give memory and file back."""
        self._room = np.empty(0, dtype=np.float32)
        if self._file is not None:
            with suppress(OSError):  # no room for what nobody wants any more
                # the other process holds it until it reads the next one; a fork of this one has no say
                if self._receiver == os.getpid():
                    os.ftruncate(self._file.fileno(), 0)
                self._file.close()


def _memory_file() -> IO[bytes]:
    """A file in memory where the system has such, else a temporary one."""
    if hasattr(os, "memfd_create"):
        with suppress(OSError):
            return os.fdopen(os.memfd_create(_PREFIX), "w+b")
    return tempfile.TemporaryFile(prefix=_PREFIX)

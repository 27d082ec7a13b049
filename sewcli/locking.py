"""Directories that one process at a time writes to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sewcli.errors import UsageError

#: seconds that a look at a lock may take: others may look at the same moment
_LOOK = 2.0


def check_free(file: Path, writer: str) -> None:
    """Refuse a directory that another process holds (UsageError); see `lock` for the arguments."""
    if file.exists():
        with suppress(PermissionError):  # made by another user, whose run may have ended long ago
            lock(file, writer, patience=_LOOK).release()


def lock(file: Path, writer: str, patience: float = 0.0) -> FileLock:
    """Hold the directory of `file` until the lock is released or dropped, or the process ends.

    Args:
        file: of the lock, in a directory that is there.
        writer: what holds it, for the message of the one that comes second.
        patience: seconds to wait for it.

    Raises:
        UsageError: another process holds it. OSError: the file cannot be made.
    """
    found = FileLock(file, timeout=patience)
    try:
        found.acquire()
    except Timeout as error:
        raise UsageError(
            f"{writer} is writing to {file.parent}", hint="wait until it has ended, or choose another -o"
        ) from error
    return found

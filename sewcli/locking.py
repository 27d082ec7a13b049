"""Directories that one process at a time writes to."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from sewcli.errors import UsageError


def lock(file: Path, writer: str) -> FileLock:
    """Hold the directory of `file` until the lock is released or dropped, or the process ends.

    Args:
        file: of the lock, in a directory that is there.
        writer: what holds it, for the message of the one that comes second.

    Raises:
        UsageError: another process holds it. OSError: the file cannot be made.
    """
    found = FileLock(file, timeout=0)
    try:
        found.acquire()
    except Timeout as error:
        raise UsageError(
            f"{writer} is writing to {file.parent}", hint="wait until it has ended, or choose another -o"
        ) from error
    return found

"""Temporary directories that go with the process, also where a thread is still at work in one."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from sewcli.atomic import own_prefix
from sewcli.errors import SewError

_log = logging.getLogger("sewcli")

#: the file in each whose lock its process holds: one whose lock is free was left by a process that was killed
_LOCK = ".lock"
#: seconds that a directory may be without its lock when it is made
_NEW_SECONDS = 60.0

_in_use: set[Path] = set()
# an interrupt may find this thread in the middle of making one
_lock = threading.RLock()

ErrorT = TypeVar("ErrorT", bound=SewError)


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A new directory, removed with what is in it at the end (OSError where there can be none)."""
    remove_left()
    with _lock:
        folder = Path(tempfile.mkdtemp(prefix=own_prefix()))
        _in_use.add(folder)
    held = None
    try:
        held = _held(folder / _LOCK, os.O_CREAT)
        yield folder
    finally:
        _in_use.discard(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            os.close(held)


@functools.cache
def remove_left() -> None:
    """Remove the directories of this user's processes that were killed, once in a process."""
    if sys.platform == "win32":  # without locks of this kind
        return
    # another machine may have locks of its own for the files of a directory that both see
    own = own_prefix()
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(own):
                with suppress(OSError):
                    _remove_if_left(entry)


def _remove_if_left(entry: os.DirEntry[str]) -> None:
    status = entry.stat(follow_symlinks=False)
    is_new = time.time() - status.st_mtime < _NEW_SECONDS
    if not entry.is_dir(follow_symlinks=False) or is_new or status.st_uid != os.getuid():
        return
    held = _held(Path(entry.path, _LOCK))
    if held is not None:
        shutil.rmtree(entry.path, ignore_errors=True)
        os.close(held)


def _held(file: Path, flags: int = 0) -> int | None:
    """A descriptor that holds the lock of a file; None where another does, or there are no such locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    opened = os.open(file, os.O_RDWR | flags, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # also a file system without locks
        os.close(opened)
        return None
    return opened


def no_room(kind: type[ErrorT], what: str, error: OSError, hint: str, begin: str = "") -> ErrorT:
    """The error where a temporary file cannot be made or written to.

    Args:
        kind: of the error.
        what: there is no room for.
        error: what the system says.
        hint: how much room is needed.
        begin: of the message.
    """
    try:
        place = tempfile.gettempdir()
    except OSError:
        place = "any temporary directory"
    return kind(f"{begin}no room for {what} in {place}: {error.strerror}", hint=hint, code="no_space")


def tell_other_place() -> None:
    """Warn where TMPDIR cannot be written to: the samples of long recordings then go elsewhere."""
    wanted = os.environ.get("TMPDIR")
    if not wanted:
        return
    try:
        taken = tempfile.gettempdir()
        is_same = Path(taken).samefile(wanted)
    except OSError:
        is_same = False
        taken = tempfile.tempdir or "none"  # where there is none at all, what needs one tells
    if not is_same:
        _log.warning("TMPDIR %s cannot be written to: %s is taken", wanted, taken)


def remove_all() -> None:
    """Remove those in use, and let no new ones be made: the process is about to end under its threads."""
    _lock.acquire()
    for folder in list(_in_use):
        shutil.rmtree(folder, ignore_errors=True)

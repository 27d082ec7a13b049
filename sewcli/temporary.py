"""Temporary directories that go with the process, also where a thread is still at work in one."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sewcli.errors import SewError

_log = logging.getLogger("sewcli")

_in_use: set[Path] = set()
# an interrupt may find this thread in the middle of making one
_lock = threading.RLock()

ErrorT = TypeVar("ErrorT", bound=SewError)


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A new directory, removed with what is in it at the end (OSError where there can be none)."""
    with _lock:
        folder = Path(tempfile.mkdtemp(prefix=".sew-"))
        _in_use.add(folder)
    try:
        yield folder
    finally:
        _in_use.discard(folder)
        shutil.rmtree(folder, ignore_errors=True)


def no_room(kind: type[ErrorT], what: str, error: OSError, hint: str) -> ErrorT:
    """The error where a temporary file cannot be made or written to.

    Args:
        kind: of the error.
        what: there is no room for.
        error: what the system says.
        hint: how much room is needed.
    """
    try:
        place = tempfile.gettempdir()
    except OSError:
        place = "any temporary directory"
    return kind(f"no room for {what} in {place}: {error.strerror}", hint=hint, code="no_space")


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

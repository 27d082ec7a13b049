"""Files that are there whole or not at all, and what a run that was killed leaves of them."""

from __future__ import annotations

import filecmp
import itertools
import os
import re
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: how names begin that are for sew alone, in directories of results
RESERVED = ".sew-"
_STALE_SECONDS = 3600.0
_SUFFIX = ".tmp"
_writes = itertools.count()


def temporary_beside(target: Path) -> Path:
    """A name for a file that will become `target`, another for every call: threads write side by side."""
    return target.with_name(f"{_prefix()}{os.getpid()}.{next(_writes)}{_SUFFIX}")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A name to write to; its file becomes `target` at the end, or is deleted where that fails (OSError)."""
    temporary = temporary_beside(target)
    try:
        yield temporary
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_whole(target: Path, content: bytes | Iterable[bytes], *, keep: Path | None = None) -> bool:
    """Write a file under a temporary name and rename it, so that it is never there in part (OSError).

    Args:
        target: the file.
        content: whole or in pieces.
        keep: where the file that is there goes if its content is another; None replaces it.

    Returns:
        Whether one was kept.
    """
    with replacing(target) as temporary:
        with temporary.open("wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
        is_kept = keep is not None and target.is_file() and not filecmp.cmp(temporary, target, shallow=False)
        if keep is not None and is_kept:
            target.replace(keep)
    return is_kept


def check_writable(folder: Path) -> None:
    """Raise OSError unless a file can be made in a folder."""
    probe = folder / (_prefix() + f"{os.getpid()}{_SUFFIX}")
    try:
        probe.touch()
    finally:
        probe.unlink(missing_ok=True)


class Folders:
    """The folders that a run writes to; what runs that were killed left in one goes before it has a file."""

    def __init__(self) -> None:
        #: hashes of their names, of which there may be many
        self._seen: set[int] = set()

    def make(self, folder: Path) -> None:
        """Have a folder (OSError where it cannot be made)."""
        folder.mkdir(parents=True, exist_ok=True)
        if hash(str(folder)) not in self._seen:
            self._seen.add(hash(str(folder)))
            _remove_stale(folder)


def _remove_stale(folder: Path) -> None:
    """Delete temporary files of runs that are gone.

    One is stale whose process on this machine has ended, or that is of another machine and an hour old.
    Others may belong to a run beside this one.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(RESERVED) and entry.name.endswith(_SUFFIX):
                with suppress(OSError):
                    if _is_stale(entry):
                        Path(entry.path).unlink()


def _is_stale(entry: os.DirEntry[str]) -> bool:
    number = entry.name.removeprefix(_prefix()).removesuffix(_SUFFIX).partition(".")[0]
    here = entry.name.startswith(_prefix()) and number.isdecimal()
    if here:
        return not _is_alive(int(number))
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_SECONDS


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":  # os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _prefix() -> str:
    host = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:64]
    return f"{RESERVED}{host}-"

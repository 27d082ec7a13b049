"""Files that are there whole or not at all, and what a run that was killed leaves of them."""

from __future__ import annotations

import errno
import filecmp
import functools
import hashlib
import itertools
import os
import secrets
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: how names begin that are for sew alone, in directories of results
RESERVED = ".sew-"
#: what is told of another target than a regular file
NO_FILE = "it is a pipe or a device, and no file"
_STALE_SECONDS = 3600.0
_SUFFIX = ".tmp"
_writes = itertools.count()
#: of this process alone: two containers may share the name of a machine and the number of a process
_TOKEN = secrets.token_hex(4)


def temporary_beside(target: Path) -> Path:
    """A name for a file that will become `target`, another for every call: threads write side by side."""
    return target.with_name(f"{own_prefix()}{os.getpid()}.{_TOKEN}.{next(_writes)}{_SUFFIX}")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A name to write to; its file becomes `target` at the end, or is deleted where that fails.

    Raises:
        OSError: it cannot be written, or the target is a pipe or a device, which would be no more.
    """
    if not replaceable(target):
        raise OSError(errno.EEXIST, NO_FILE, str(target))
    temporary = temporary_beside(target)
    try:
        yield temporary
        temporary.replace(target)
    except BaseException as error:
        is_of_another = isinstance(error, FileExistsError) and error.filename == str(temporary)
        with suppress(OSError):
            if not is_of_another:
                temporary.unlink(missing_ok=True)
        raise


def replaceable(target: Path) -> bool:
    """Whether a path is that of a regular file, or of nothing yet, also through a link."""
    try:
        return stat.S_ISREG(target.stat().st_mode)
    except OSError:
        return True


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
        with temporary.open("xb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
        is_kept = keep is not None and target.is_file() and not filecmp.cmp(temporary, target, shallow=False)
        if keep is not None and is_kept:
            target.replace(keep)
    return is_kept


def check_writable(folder: Path) -> None:
    """Raise OSError unless a file can be made in a folder."""
    probe = temporary_beside(folder / "probe")
    probe.touch(exist_ok=False)
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

    One is stale whose process has ended, where its number means the same process here, and any other when it
    is an hour old. Others may belong to a run beside this one.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(RESERVED) and entry.name.endswith(_SUFFIX):
                with suppress(OSError):
                    if _is_stale(entry):
                        Path(entry.path).unlink()


def _is_stale(entry: os.DirEntry[str]) -> bool:
    number = entry.name.removeprefix(own_prefix()).partition(".")[0]
    if _numbering() is not None and entry.name.startswith(own_prefix()) and number.isdecimal():
        return not _is_alive(int(number))
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_SECONDS


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def own_prefix() -> str:
    """How the names of this machine begin; on Linux, of the processes that see each other by number."""
    place = f"{socket.gethostname()} {_numbering() or ''}"
    return f"{RESERVED}{hashlib.blake2b(place.encode(), digest_size=6).hexdigest()}-"


@functools.cache
def _numbering() -> str | None:
    """The start of the system and the namespace of process numbers: containers count from 1, each its own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None

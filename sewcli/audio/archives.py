"""Members of archives, out of a few archives that stay open: the index of one may have a million entries."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sewcli.inputs.urls import ARCHIVES, protocols

#: archives that stay open
_MOST = 2
#: seconds after which one that nobody can tell to be unchanged is opened anew
_TRUSTED = 600.0


@dataclass
class _Archive:
    """An archive; its members are read one at a time, since the place in its file is shared."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    filesystem: Any = None


_kept: dict[Hashable, _Archive] = {}
_lock = threading.Lock()


def is_member(url: str) -> bool:
    """Whether an address is that of a member of an archive."""
    member, _, archive = url.partition("::")
    return bool(archive) and "://" in member and protocols(member)[0] in ARCHIVES


def get_member(url: str, options: Mapping[str, Any], target: Path) -> None:
    """Write a member of an archive to a file; what is raised depends on the archive.

    Args:
        url: see `is_member`.
        options: of the protocols, for fsspec.
        target: the file.
    """
    from fsspec.core import url_to_fs

    member, _, place = url.partition("::")
    archive = _archive((protocols(member)[0], place, os.getpid(), _state(place)))
    with archive.lock:
        if archive.filesystem is None:
            archive.filesystem, _ = url_to_fs(url, **options)
        try:
            archive.filesystem.get_file(archive.filesystem._strip_protocol(member), str(target))
        except FileNotFoundError:
            raise
        except Exception:  # its connection may be lost
            archive.filesystem = None
            raise


def _archive(key: Hashable) -> _Archive:
    with _lock:
        archive = _kept.pop(key, None) or _Archive()
        _kept[key] = archive
        while len(_kept) > _MOST:  # the one that was longest not asked for; it closes when it is not in use
            del _kept[next(iter(_kept))]
        return archive


def _state(place: str) -> Hashable:
    """What differs once an archive is another."""
    try:
        status = Path(place.removeprefix("file://")).stat()
    except (OSError, ValueError):  # it is elsewhere
        return time.monotonic() // _TRUSTED
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

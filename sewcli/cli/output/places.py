"""Names that are given for files and directories to write: whether each is free for what it is to be."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sewcli.atomic import NO_FILE, check_writable, replaceable
from sewcli.errors import UsageError


def check_folder(option: str, folder: Path, hint: str = "name a directory") -> None:
    """Refuse a directory whose place is taken by a file (UsageError).

    Args:
        option: that names it, for the message.
        folder: it need not be there.
        hint: what to do.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            if not place.is_dir():
                where = "it" if place == folder else str(place)
                what = "a file" if place.exists() else "a link to nothing"
                raise UsageError(
                    f"{option} {folder}: a directory is needed, and {where} is {what}", hint=hint
                )
            return


def make_folder(option: str, folder: Path, hint: str = "name a directory") -> None:
    """Make a directory, if it is not there, and try to write to it; see `check_folder` (UsageError)."""
    check_folder(option, folder, hint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder)
    except OSError as error:
        raise UsageError(
            f"{option} {folder}: cannot be written to: {error.strerror}",
            hint="choose a directory that is yours to write",
        ) from error


def check_file(option: str, file: Path) -> None:
    """Refuse a file whose place is taken by a directory (UsageError)."""
    if file.is_dir():
        example = file / f"{file.stem}{file.suffix or '.txt'}"
        raise UsageError(
            f"{option} {file}: a file is needed, and it is a directory", hint=f"name a file in it: {example}"
        )


def check_regular(option: str, file: Path) -> None:
    """Refuse what is there and is no regular file, which would be replaced by one (UsageError)."""
    check_file(option, file)
    if not replaceable(file):
        raise UsageError(f"{option} {file}: {NO_FILE}", hint="name a file")


def check_place(option: str, file: Path) -> None:
    """Try to write beside a file that is to be written, whose directory is there (UsageError)."""
    try:
        check_writable(file.parent)
    except OSError as error:
        raise UsageError(
            f"{option} {file}: cannot be written: {error.strerror}",
            hint="choose a place that is yours to write",
        ) from error


def check_not_read(option: str, file: Path, inputs: Iterable[Path]) -> None:
    """Refuse to replace what is read (UsageError); inputs need not be there."""
    if file.exists() and any(_is_same(file, one) for one in inputs):
        raise UsageError(f"{option} {file} is an input", hint="choose another file")


def _is_same(file: Path, other: Path) -> bool:
    try:
        return other.exists() and file.samefile(other)
    except OSError:  # a name that no file can have
        return False

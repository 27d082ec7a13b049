"""Which files of a folder are inputs: the globs of --include and --exclude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Selection:
    """Globs for the entries of a folder, case-sensitive.

    A pattern without a slash is compared with the name of an entry at any depth, one with a slash with its
    path below the folder, where `**` stands for any number of folders.

    Attributes:
        include: a file must match one of them, if there are any.
        exclude: a file or folder that matches one of them is left out, folders with all that is in them.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, relative: str) -> bool:
        """Whether a file is an input; its path is relative to the folder, with slashes."""
        if self.include and not any(_fits(relative, pattern) for pattern in self.include):
            return False
        return self.enters(relative)

    def enters(self, relative: str) -> bool:
        """Whether a folder is searched."""
        return not any(_fits(relative, pattern) for pattern in self.exclude)


EVERYTHING = Selection()


def _fits(relative: str, pattern: str) -> bool:
    parts = pattern.removeprefix("./").rstrip("/").split("/")
    names = relative.split("/")
    return _match(names[-1:] if len(parts) == 1 else names, parts)


def _match(names: Sequence[str], parts: Sequence[str]) -> bool:
    if not parts:
        return not names
    if parts[0] == "**":
        return any(_match(names[skipped:], parts[1:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], parts[0]) and _match(names[1:], parts[1:])

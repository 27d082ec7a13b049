"""Which files below a folder are inputs."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sewcli.errors import UsageError
from sewcli.inputs.formats import AUDIO_EXTENSIONS, INSTALL_MEDIA, decodable_extensions
from sewcli.inputs.selection import EVERYTHING, Selection
from sewcli.inputs.urls import is_url


def is_folder(given: str) -> bool:
    """Whether a name is that of a folder; an address and one that cannot be looked at are not."""
    try:
        return not is_url(given) and Path(given).is_dir()
    except (OSError, ValueError):  # a parent that may not be entered: opening it says so later
        return False


def _may_be_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or a link that leads nowhere, which is told when it is read.

    A pipe would be waited for, without an end where nobody writes to it; it is an input where it is named.
    """
    try:
        return entry.is_file(follow_symlinks=False) or stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True


class Walk:
    """The audio files below a folder.

    Args:
        root: the folder.
        selection: which of its entries count.

    Attributes:
        skipped: files that cannot be decoded on this machine, counted by extension.
    """

    def __init__(self, root: str, selection: Selection) -> None:
        self._root = root
        self._selection = selection
        self._extensions = decodable_extensions()
        self.skipped: Counter[str] = Counter()

    def files(self, folder: str, below: str = "") -> Iterator[tuple[str, str | None]]:
        """Yield paths, with an error for a folder that cannot be listed.

        The names of one level are in memory at a time; `below` is the folder's path from the root.
        """
        folders: set[str] = set()
        names = []
        try:
            for entry, is_folder in self._entries(folder, below):
                names.append(entry.name)
                if is_folder:
                    folders.add(entry.name)
        except OSError as error:
            yield folder, f"the folder cannot be listed: {error.strerror}"
            return
        for name in sorted(names):
            path = os.path.join(folder, name)  # noqa: PTH118 - a string as os.scandir gives it
            if name in folders:
                yield from self.files(path, f"{below}{name}/")
            else:
                yield path, None

    def has_files(self, folder: str, below: str = "") -> bool:
        """Whether `files` would yield anything; folders are looked into up to the first file."""
        inside = []
        try:
            for entry, is_folder in self._entries(folder, below):
                if not is_folder:
                    return True
                inside.append(entry.name)
        except OSError:
            return True
        return any(self.has_files(os.path.join(folder, name), f"{below}{name}/") for name in inside)  # noqa: PTH118

    def _entries(self, folder: str, below: str) -> Iterator[tuple[os.DirEntry[str], bool]]:
        """The folders to enter, each with True, and the files that count, in no order (OSError)."""
        with os.scandir(folder) as listing:
            for entry in listing:
                if entry.name.startswith("."):
                    continue
                relative = below + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if self._selection.enters(relative):
                        yield entry, True
                elif self._counts(entry, relative):
                    yield entry, False

    def _counts(self, entry: os.DirEntry[str], relative: str) -> bool:
        extension = Path(entry.name).suffix[1:].lower()
        if (
            extension not in AUDIO_EXTENSIONS
            or not self._selection.takes(relative)
            or not _may_be_file(entry)
        ):
            return False
        if extension in self._extensions:
            return True
        self.skipped[extension] += 1
        return False

    def nothing_found(self) -> UsageError:
        """The error for a folder without a file to read."""
        if self.skipped:
            return UsageError(
                f"{self._root}: its audio files ({' '.join(sorted(self.skipped))}) cannot be read here",
                hint=INSTALL_MEDIA,
            )
        if self._selection != EVERYTHING:
            return UsageError(
                f"{self._root}: no audio file in this folder that --include and --exclude let through",
                hint="patterns with a slash are compared with the path below the folder, "
                "others with the name",
            )
        return UsageError(
            f"{self._root}: no audio file in this folder",
            hint=f"files that count end in {' '.join(sorted(self._extensions))}; hidden ones are skipped",
        )

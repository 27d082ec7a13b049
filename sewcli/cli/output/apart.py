"""Names of recordings, where a format tells them apart by nothing else."""

from __future__ import annotations

from sewcli.errors import InputError
from sewcli.writers.sctk import word_of


class Names:
    """The names that a format of SCTK has given.

    sclite would take what is said in two recordings of one name for one recording's. The names are kept: some
    250 MB for a million inputs.

    Args:
        form: name of the format, of which one file holds all results.
    """

    def __init__(self, form: str) -> None:
        self._form = form
        self._paths: dict[str, str] = {}
        self._parts: set[str] = set()

    def take(self, path: str, suffix: str) -> None:
        """Give a recording, or a part of one, its name: parts and channels of a file share that.

        Args:
            path: of the input.
            suffix: of the part, see `part_suffix`.

        Raises:
            InputError: another file has the name, or the same part was there before.
        """
        name = word_of(path)
        part = name + suffix
        other = self._paths.setdefault(name, path)
        if other != path or part in self._parts:
            whose = f"as it does {other}" if other != path else "a second time"
            raise InputError(
                f"{path}: -f {self._form} names it {part}, {whose}",
                hint="give another name to one of them, or write a file for each: "
                "-o DIR --output-template '{index}.{ext}'",
                code="name",
            )
        self._parts.add(part)

"""How the files of results are named below their directory."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from sewcli.atomic import RESERVED
from sewcli.errors import UsageError
from sewcli.inputs.names import part_suffix, plain_name, plain_stem
from sewcli.inputs.source import Source
from sewcli.writers import Format

MIRRORED = "{dir}/{stem}{part}.{ext}"
#: tells files apart that are named one by one
BY_PATH = "{parent}/{name}{part}.{ext}"
FIELDS: dict[str, Callable[[Source, Format, int], Any]] = {
    "dir": lambda source, _form, _index: _inside(source),
    "parent": lambda source, _form, _index: _parent(source),
    "stem": lambda source, _form, _index: plain_stem(source.path),
    "name": lambda source, _form, _index: plain_name(source.path),
    "part": lambda source, _form, _index: part_suffix(*source.part, source.channel),
    "ext": lambda _source, form, _index: form.extension.removeprefix("."),
    "format": lambda _source, form, _index: form.name,
    "channel": lambda source, _form, _index: "mix" if source.channel is None else source.channel,
    "index": lambda _source, _form, index: index,
}


class Template:
    """How output files are named below their directory.

    Args:
        text: with the fields {dir} (place of the input below the directory it was found in), {parent} (its
            directory as it was given, without the beginning / and any ..), {stem} and {name} of its file
            without and with extension, {part} ("_START-END", "_chN" or nothing), {ext} of the format (txt,
            verbose.json), {format}, {channel} and {index}, which counts the inputs from 1.

    Raises:
        UsageError: another field, or braces that do not match.
    """

    def __init__(self, text: str = MIRRORED) -> None:
        self._text = text
        try:
            fields = [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
        except ValueError as error:
            raise self._wrong(str(error)) from error
        if "\0" in text:
            raise self._wrong("a NUL is in no name")
        for field in fields:
            if field not in FIELDS:
                raise self._wrong(f"no field {{{field}}}")
        self._fields = set(fields)
        #: whether names depend on the number of their input
        self.counts = "index" in fields

    def path(self, source: Source, form: Format, index: int) -> PurePath:
        """Where a result belongs, below the output directory (UsageError where that is not below it)."""
        values = {field: FIELDS[field](source, form, index) for field in self._fields}
        try:
            made = PurePath(self._text.format_map(values))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise self._wrong(f"cannot be filled in: {error}") from error
        if made.is_absolute() or ".." in made.parts or not made.name:
            raise self._wrong(f"{str(made)!r}, for {source.path}, is no file below the output directory")
        if any(part.startswith(RESERVED) for part in made.parts):
            raise self._wrong(
                f"{str(made)!r}, for {source.path}: "
                f"names that begin with {RESERVED} are for the journal and the lock"
            )
        return made

    def _wrong(self, what: str) -> UsageError:
        known = " ".join(f"{{{field}}}" for field in FIELDS)
        return UsageError(f"--output-template {self._text}: {what}", hint=f"fields are {known}")


def _inside(source: Source) -> PurePath:
    """Where an input is in the directory it was found in."""
    return PurePath(source.path).relative_to(source.root).parent if source.root else PurePath()


def _parent(source: Source) -> PurePath:
    """The directory of an input as it was given, without the beginning / and any .."""
    return PurePath(*(part for part in PurePath(source.path).parent.parts if part not in ("/", "..")))

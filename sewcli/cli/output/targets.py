"""Which file each input and format is written to; what is wrong with that is found before anything runs."""

from __future__ import annotations

import logging
import os
import string
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from sewcli.atomic import RESERVED
from sewcli.errors import UsageError
from sewcli.inputs.names import part_suffix, plain_name, plain_stem
from sewcli.inputs.source import Source
from sewcli.writers import Format

_log = logging.getLogger("sewcli")

#: seconds between messages on how far the planning is
_TOLD_EVERY = 30.0
#: begins the name of everything in an output directory that is no output
MIRRORED = "{dir}/{stem}{part}.{ext}"
#: tells files apart that are named one by one
BY_PATH = "{parent}/{name}{part}.{ext}"
FIELDS = ("dir", "parent", "stem", "name", "part", "ext", "format", "channel", "index")


@dataclass(frozen=True)
class Planned:
    """One input and the files of its result.

    Attributes:
        source: the input.
        targets: one a format, in their order; none for what is no input, which will fail.
        beside: others that its run writes (logits, a picture), and is not done without.
    """

    source: Source
    targets: tuple[Path, ...]
    beside: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return self.targets + self.beside


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
        for field in fields:
            if field not in FIELDS:
                raise self._wrong(f"no field {{{field}}}")

    def path(self, source: Source, form: Format, index: int) -> PurePath:
        """Where a result belongs, below the output directory (UsageError where that is not below it)."""
        inside = PurePath(source.path).relative_to(source.root).parent if source.root else PurePath()
        values: dict[str, Any] = {
            "dir": inside,
            "parent": PurePath(
                *(part for part in PurePath(source.path).parent.parts if part not in ("/", ".."))
            ),
            "stem": plain_stem(source.path),
            "name": plain_name(source.path),
            "part": part_suffix(*source.part, source.channel),
            "ext": form.extension.removeprefix("."),
            "format": form.name,
            "channel": "mix" if source.channel is None else source.channel,
            "index": index,
        }
        try:
            made = PurePath(self._text.format_map(values))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise self._wrong(f"cannot be filled in: {error}") from error
        if made.is_absolute() or ".." in made.parts or not made.name:
            raise self._wrong(f"{str(made)!r} is no file below the output directory")
        if made.name.startswith(RESERVED):
            raise self._wrong(f"names that begin with {RESERVED} are for the journal and the lock")
        return made

    def _wrong(self, what: str) -> UsageError:
        known = " ".join(f"{{{field}}}" for field in FIELDS)
        return UsageError(f"--output-template {self._text}: {what}", hint=f"fields are {known}")


def plan(
    root: Path,
    sources: Iterable[Source],
    formats: Sequence[Format],
    template: Template,
    *,
    replace: bool,
    otherwise: str = "--resume to go on with a run that was started with it, or choose another -o",
    apart: str = f"add --output-template '{BY_PATH}'",
) -> list[Planned]:
    """The files of every input.

    Args:
        root: the output directory; it need not be there.
        sources: all inputs, in the order of the results.
        formats: to write for each.
        template: names the files.
        replace: files that exist may be replaced.
        otherwise: what else than --overwrite helps where they may not.
        apart: what tells the files of two inputs apart.

    Raises:
        UsageError: two results would be in one file, one would replace an input or a folder, or a file
            exists and may not be replaced.
    """
    planned = []
    told = time.monotonic()
    for index, source in enumerate(sources, start=1):
        planned.append(Planned(source, _targets(root, source, formats, template, index)))
        if index % 1000 == 0 and time.monotonic() - told > _TOLD_EVERY:
            told = time.monotonic()
            _log.info("%d inputs listed, whose files are planned before anything runs", index)
    owners = _owners(planned, apart)
    _keep_inputs(planned, owners)
    existing = [target for target in owners if os.path.lexists(target)]
    for target in existing:
        if Path(target).is_dir():
            raise UsageError(f"{target} is a directory", hint="choose another -o or --output-template")
    if existing and not replace:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UsageError(
            f"{existing[0]} exists{more}",
            hint=f"add --overwrite to replace, {otherwise}",
        )
    return planned


def _targets(
    root: Path, source: Source, formats: Sequence[Format], template: Template, index: int
) -> tuple[Path, ...]:
    if source.error is not None:  # as a bad row of a manifest
        return ()
    return tuple(root / template.path(source, form, index) for form in formats)


def with_beside(planned: Sequence[Planned], beside: Sequence[Mapping[Source, Path]]) -> list[Planned]:
    """The plan with the files that are written beside the results of every input.

    Raises:
        UsageError: one of them is the file of a result.
    """
    made = [
        replace(one, beside=tuple(files[one.source] for files in beside if one.targets)) for one in planned
    ]
    results = {_place(target) for one in planned for target in one.targets}
    for one in made:
        for file in one.beside:
            if _place(file) in results:
                raise UsageError(
                    f"{file} would be written twice for {one.source.path}",
                    hint="choose another directory or pattern",
                )
    return made


def _owners(planned: Sequence[Planned], apart: str) -> dict[str, str]:
    """The input of every file."""
    owners: dict[str, str] = {}
    for target, path in _pairs(planned):
        if target in owners:
            if owners[target] == path:
                raise UsageError(
                    f"two results of {path} would be written to {target}",
                    hint="name an input once; an --output-template needs {ext} and {part}",
                )
            raise UsageError(
                f"{owners[target]} and {path} would both be written to {target}",
                hint=f"{apart}, or use two directories",
            )
        owners[target] = path
    for target, path in _pairs(planned):
        for parent in Path(target).parents:
            if str(parent) in owners:
                raise UsageError(
                    f"{parent} would be a file for {owners[str(parent)]} and a folder for {path}",
                    hint="run them with two output directories",
                )
    return owners


def _keep_inputs(planned: Sequence[Planned], owners: dict[str, str]) -> None:
    # not resolved: a link that is written to is replaced, and what it points to stays
    inputs = {_place(one.source.file) for one in planned if not (one.source.is_stdin or one.source.is_url)}
    for target in owners:
        if _place(target) in inputs:
            raise UsageError(f"{target} is an input", hint="choose another -o or --output-template")


def _place(file: Path | str) -> str:
    return os.path.abspath(file)  # noqa: PTH100 - resolve() follows links


def _pairs(planned: Sequence[Planned]) -> Iterator[tuple[str, str]]:
    return ((str(target), one.source.path) for one in planned for target in one.targets)

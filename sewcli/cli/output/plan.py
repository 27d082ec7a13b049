"""Which files every input is written to; what is wrong with that is found before anything runs.

A list may have millions of inputs, so neither they nor their files are held: inputs are packed, and files are
named anew each time they are asked for.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sewcli.cli.output.collisions import Places, check_beside
from sewcli.cli.output.planned import Planned
from sewcli.cli.output.template import BY_PATH, Template
from sewcli.errors import UsageError
from sewcli.inputs.packed import Packed
from sewcli.inputs.source import Source
from sewcli.writers import Format

_log = logging.getLogger("sewcli")

#: bytes of a name, in nearly all file systems
_LONGEST = 255
#: seconds between messages on how far the planning is
_TOLD_EVERY = 30.0


class Plan:
    """All inputs in the order of the results, with the files of each, named when they are asked for.

    Args:
        root: the output directory; it need not be there.
        formats: to write for each input.
        template: names the files.
    """

    def __init__(self, root: Path, formats: Sequence[Format], template: Template) -> None:
        self._root = root
        self._formats = formats
        self._template = template
        self._sources = Packed()
        self._beside: Sequence[Callable[[Source], Path]] = ()

    def add(self, source: Source) -> Planned:
        """Put an input at the end (UsageError where its files have no place below the directory)."""
        self._sources.append(source)
        return self._planned(source, len(self))

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[Planned]:
        for index, source in enumerate(self._sources, start=1):
            yield self._planned(source, index)

    def files(self, source: Source, index: int) -> tuple[Path, ...]:
        """Those of an input, one a format, by its number from 1."""
        if source.error is not None:  # as a bad row of a manifest
            return ()
        return tuple(self._root / self._template.path(source, form, index) for form in self._formats)

    def put_beside(self, beside: Sequence[Callable[[Source], Path]]) -> None:
        """Have files of other directories count as the files of an input, beside its results.

        Raises:
            UsageError: one of them is the file of a result.
        """
        self._beside = beside
        check_beside(self)

    def _planned(self, source: Source, index: int) -> Planned:
        targets = self.files(source, index)
        beside = tuple(file(source) for file in self._beside if targets)
        nameable = with_names(source, (*targets, *beside))
        return Planned(source, targets, beside) if nameable is source else Planned(nameable, ())


def with_names(source: Source, files: Iterable[Path]) -> Source:
    """The source, which fails before it is read where one of its files has a name that is too long."""
    for file in files:
        if os.name == "posix" and any(len(part.encode(errors="replace")) > _LONGEST for part in file.parts):
            reason = f"cannot write {file}: {os.strerror(errno.ENAMETOOLONG)}"
            return replace(source, error=reason, error_hint="see --output-template", error_code="output")
    return source


def plan(
    root: Path,
    sources: Iterable[Source],
    formats: Sequence[Format],
    template: Template,
    *,
    replace: bool,
    read_too: Iterable[Path] = (),
    otherwise: str = "--resume to go on with a run that was started with it, or choose another -o",
    apart: str = f"add --output-template '{BY_PATH}'",
) -> Plan:
    """The files of every input.

    Args:
        root: the output directory; it need not be there.
        sources: all inputs, in the order of the results.
        formats: to write for each.
        template: names the files.
        replace: files that exist may be replaced.
        read_too: files that are read beside the inputs.
        otherwise: what else than --overwrite helps where they may not.
        apart: what tells the files of two inputs apart.

    Raises:
        UsageError: two results would be in one file, one would replace an input or a folder, or a file
            exists and may not be replaced.
    """
    made, places, existing = Plan(root, formats, template), Places(root), _Existing()
    places.keep(read_too)
    told = time.monotonic()
    for index, source in enumerate(sources, start=1):
        planned = made.add(source)
        places.add(planned)
        existing.add(planned)
        if index % 1000 == 0 and time.monotonic() - told > _TOLD_EVERY:
            told = time.monotonic()
            _log.info("%d inputs listed, whose files are planned before anything runs", index)
    places.check(made, apart)
    existing.check(otherwise, replace=replace)
    return made


class _Existing:
    """The files of a plan that are there already."""

    def __init__(self) -> None:
        self._count = 0
        self._first: Path | None = None
        self._folder: Path | None = None

    def add(self, planned: Planned) -> None:
        for target in planned.targets:
            if os.path.lexists(target):
                self._count += 1
                self._first = self._first or target
                if self._folder is None and target.is_dir():
                    self._folder = target

    def check(self, otherwise: str, *, replace: bool) -> None:
        """Raise UsageError for a folder, and where files may not be replaced for these."""
        if self._folder is not None:
            raise UsageError(f"{self._folder} is a directory", hint="choose another -o or --output-template")
        if self._first is not None and not replace:
            more = f" (and {self._count - 1} more)" if self._count > 1 else ""
            raise UsageError(f"{self._first} exists{more}", hint=f"add --overwrite to replace, {otherwise}")

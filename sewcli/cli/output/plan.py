"""Which files every input is written to; what is wrong with that is found before anything runs.

A list may have millions of inputs, so neither they nor their files are held: inputs are packed, files are
named anew each time they are asked for, and of their places hashes of eight bytes are kept while they are
compared.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sewcli.cli.output.template import BY_PATH, Template
from sewcli.errors import UsageError
from sewcli.inputs.packed import Packed
from sewcli.inputs.source import Source
from sewcli.writers import Format

_log = logging.getLogger("sewcli")

#: seconds between messages on how far the planning is
_TOLD_EVERY = 30.0


@dataclass(frozen=True, slots=True)
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
        results, others = _Hashes(), _Hashes()
        for one in self:
            results.add(*map(place_of, one.targets))
        self._beside = beside
        for one in self:
            others.add(*map(place_of, one.beside))
        if suspects := results.shared(others):
            results_of = {place_of(target) for one in self for target in one.targets}
            for one in self:
                for file in one.beside:
                    if hash(place_of(file)) in suspects and place_of(file) in results_of:
                        raise UsageError(
                            f"{file} would be written twice for {one.source.path}",
                            hint="choose another directory or pattern",
                        )

    def _planned(self, source: Source, index: int) -> Planned:
        targets = self.files(source, index)
        return Planned(source, targets, tuple(file(source) for file in self._beside if targets))


def plan(
    root: Path,
    sources: Iterable[Source],
    formats: Sequence[Format],
    template: Template,
    *,
    replace: bool,
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
        otherwise: what else than --overwrite helps where they may not.
        apart: what tells the files of two inputs apart.

    Raises:
        UsageError: two results would be in one file, one would replace an input or a folder, or a file
            exists and may not be replaced.
    """
    made, places, existing = Plan(root, formats, template), _Places(root), _Existing()
    told = time.monotonic()
    for index, source in enumerate(sources, start=1):
        planned = made.add(source)
        places.add(planned)
        existing.add(planned)
        if index % 1000 == 0 and time.monotonic() - told > _TOLD_EVERY:
            told = time.monotonic()
            _log.info("%d inputs listed, whose files are planned before anything runs", index)
    if suspects := places.suspects():
        _check_apart(made, suspects, apart)
        _keep_inputs(made, suspects)
    existing.check(otherwise, replace=replace)
    return made


class _Hashes:
    """Hashes of places, to find those that may be the same."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, *places: str) -> None:
        self._hashes.extend(map(hash, places))

    def repeated(self) -> set[int]:
        """Those that are there twice or more."""
        import numpy as np

        ordered = np.sort(np.asarray(self._hashes))
        return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())

    def shared(self, others: _Hashes) -> set[int]:
        """Those that are among others too."""
        import numpy as np

        return set(np.intersect1d(self._hashes, others._hashes).tolist())


class _Places:
    """Where the inputs of a plan are and its files will be, with the folders of these."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._inputs, self._targets, self._folders = _Hashes(), _Hashes(), _Hashes()
        self._last = ""

    def add(self, planned: Planned) -> None:
        if (place := _input_place(planned.source)) is not None:
            self._inputs.add(place)
        for target in map(place_of, planned.targets):
            self._targets.add(target)
            folder = os.path.dirname(target)  # noqa: PTH120 - a string as the others are
            if folder != self._last:
                self._last = folder
                self._folders.add(*_folders(target, self._root))

    def suspects(self) -> set[int]:
        """Hashes of files that may be there twice, or be an input or a folder as well."""
        targets = self._targets
        among = targets.shared(self._inputs) | targets.shared(self._folders)
        return targets.repeated() | among | self._folders.shared(self._inputs)


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


def _check_apart(planned: Plan, suspects: set[int], apart: str) -> None:
    """Raise UsageError where two results have one file, or one's file is another's folder."""
    owners: dict[str, str] = {}
    for target, path in _pairs(planned):
        place = place_of(target)
        if hash(place) not in suspects:
            continue
        if place in owners:
            if owners[place] == path:
                raise UsageError(
                    f"two results of {path} would be written to {target}",
                    hint="name an input once; an --output-template needs {ext} and {part}",
                )
            raise UsageError(
                f"{owners[place]} and {path} would both be written to {target}",
                hint=f"{apart}, or use two directories",
            )
        owners[place] = path
    for target, path in _pairs(planned):
        for parent in target.parents:
            if (owner := owners.get(place_of(parent))) is not None:
                raise UsageError(
                    f"{parent} would be a file for {owner} and a folder for {path}",
                    hint="run them with two output directories",
                )


def _keep_inputs(planned: Plan, suspects: set[int]) -> None:
    inputs = {place for one in planned if (place := _input_place(one.source)) and hash(place) in suspects}
    for target, _ in _pairs(planned):
        if place_of(target) in inputs:
            raise UsageError(f"{target} is an input", hint="choose another -o or --output-template")
        for parent in target.parents:
            if inputs and place_of(parent) in inputs:
                raise UsageError(
                    f"{parent} is an input and would be a folder of results",
                    hint="choose another -o or --output-template",
                )


def _input_place(source: Source) -> str | None:
    """Where the file of an input is; None for what is none on this machine."""
    if source.is_url:
        url = urlsplit(source.path)
        return place_of(unquote(url.path)) if url.scheme == "file" else None
    return None if source.is_stdin else place_of(source.file)


def _folders(file: str, root: str) -> Iterator[str]:
    """Those that a file below `root` is in, without it."""
    while len(file := os.path.dirname(file)) > len(root):  # noqa: PTH120
        yield file


def place_of(file: Path | str) -> str:
    """Where a file is, whatever links lead to its folder; a link that is written to is replaced itself."""
    folder, name = os.path.split(os.path.abspath(file))  # noqa: PTH100
    return os.path.join(_real(folder), name)  # noqa: PTH118


@functools.lru_cache(maxsize=1024)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _pairs(planned: Plan) -> Iterator[tuple[Path, str]]:
    return ((target, one.source.path) for one in planned for target in one.targets)

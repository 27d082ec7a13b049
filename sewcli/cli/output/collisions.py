"""Whether two files of a plan have one place, or one is an input or a folder as well.

Of places hashes of eight bytes are kept, for a plan may have millions. Names are compared only where two of
these are the same.
"""

from __future__ import annotations

import functools
import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sewcli.cli.output.planned import Planned
from sewcli.errors import UsageError
from sewcli.inputs.source import STDIN, Source


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


class Places:
    """Where the inputs of a plan are and its files will be, with the folders of these."""

    def __init__(self, root: Path) -> None:
        _real.cache_clear()
        self._root = os.path.realpath(root)
        self._inputs, self._targets, self._folders = _Hashes(), _Hashes(), _Hashes()
        self._last = ""
        self._kept: set[str] = set()

    def keep(self, files: Iterable[Path]) -> None:
        """Take in files that are no inputs and are read too."""
        for file in files:
            self._kept |= {place_of(file), os.path.realpath(file)}
        self._inputs.add(*self._kept)

    def add(self, planned: Planned) -> None:
        """Take in an input and its files."""
        self._inputs.add(*_input_places(planned.source))
        for target in map(place_of, planned.targets):
            self._targets.add(target)
            folder = os.path.dirname(target)  # noqa: PTH120 - a string as the others are
            if folder != self._last:
                self._last = folder
                self._folders.add(*_folders(target, self._root))

    def _suspects(self) -> set[int]:
        """Hashes of files that may be there twice, or be an input or a folder as well."""
        targets = self._targets
        among = targets.shared(self._inputs) | targets.shared(self._folders)
        return targets.repeated() | among | self._folders.shared(self._inputs)

    def check(self, planned: Iterable[Planned], apart: str) -> None:
        """Raise UsageError for files that cannot all be there.

        Args:
            planned: what was added, to be gone through several times.
            apart: what tells the files of two inputs apart.
        """
        if suspects := self._suspects():
            _check_apart(planned, suspects, apart)
            _keep_inputs(planned, suspects, self._kept)


def check_beside(planned: Iterable[Planned]) -> None:
    """Raise UsageError where a file beside the results is that of a result.

    Args:
        planned: to be gone through several times.
    """
    results, others = _Hashes(), _Hashes()
    for one in planned:
        results.add(*map(place_of, one.targets))
        others.add(*map(place_of, one.beside))
    if not (suspects := results.shared(others)):
        return
    places = {place for one in planned for place in map(place_of, one.targets) if hash(place) in suspects}
    for one in planned:
        for file in one.beside:
            if place_of(file) in places:
                raise UsageError(
                    f"{file} would be written twice for {one.source.path}",
                    hint="choose another directory or pattern",
                )


def _check_apart(planned: Iterable[Planned], suspects: set[int], apart: str) -> None:
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


def _keep_inputs(planned: Iterable[Planned], suspects: set[int], kept: set[str]) -> None:
    inputs = kept | {
        place for one in planned for place in _input_places(one.source) if hash(place) in suspects
    }
    if not inputs:
        return
    for target, _ in _pairs(planned):
        if place_of(target) in inputs:
            raise UsageError(f"{target} is an input", hint="choose another -o or --output-template")
        for parent in target.parents:
            if place_of(parent) in inputs:
                raise UsageError(
                    f"{parent} is an input and would be a folder of results",
                    hint="choose another -o or --output-template",
                )


def _input_places(source: Source) -> list[str]:
    """Where the files of an input are, and what they lead to if they are links; nothing off this machine.

    The recording that saved logits are of is one of them, beside what is read.
    """
    files = {source.path, str(source.file)}
    if source.is_url:
        url = urlsplit(source.path)
        files = {unquote(url.path)} if url.scheme == "file" else set()
    elif source.path == STDIN:
        files = set()
    places = [place_of(file) for file in files]
    return places + [os.path.realpath(place) for place in places if os.path.islink(place)]  # noqa: PTH114


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
    try:
        return os.path.realpath(folder)
    except ValueError:  # a line of a list may have a NUL in it
        return folder


def _pairs(planned: Iterable[Planned]) -> Iterator[tuple[Path, str]]:
    return ((target, one.source.path) for one in planned for target in one.targets)

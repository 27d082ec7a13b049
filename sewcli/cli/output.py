"""Where results go: standard output, or one file an input and format in a directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Protocol

from sewcli.errors import UsageError
from sewcli.results import Classification, Failure, Transcript
from sewcli.sources import STDIN, Source
from sewcli.writers import FORMATS, Format

Result = Transcript | Classification | Failure


class Sink(Protocol):
    """Takes results in the order of the inputs."""

    def write(self, result: Result) -> None:
        """Write one result."""


def chosen_formats(names: Sequence[str] | None, output: Path | None) -> list[Format]:
    """The formats of `-f`, text by default.

    Raises:
        UsageError: an unknown format, or several without a directory to write them to.
    """
    wanted = list(dict.fromkeys(names or ["text"]))
    for name in wanted:
        if name not in FORMATS:
            raise UsageError(f"unknown format {name!r}", hint=f"one of {', '.join(FORMATS)}")
    if len(wanted) > 1 and output is None:
        raise UsageError("several formats need a directory", hint="add -o DIR")
    return [FORMATS[name] for name in wanted]


class StandardOutput:
    """One record after the other, each flushed, as bytes: nothing wraps or re-encodes them."""

    def __init__(self, chosen: Format, *, with_path: bool) -> None:
        self._format = chosen
        self._with_path = with_path

    def write(self, result: Result) -> None:
        """Write one result."""
        sys.stdout.buffer.write(self._format.write(result, with_path=self._with_path))
        sys.stdout.buffer.flush()


class Directory:
    """One file an input and format, written under a temporary name and renamed when complete.

    Args:
        root: the directory; made when the first file is written.
        formats: to write for each input.
        sources: all inputs, in the order of the results.
        overwrite: replace files that exist.

    Raises:
        UsageError: two inputs would write the same file, or a file exists and may not be replaced.
    """

    def __init__(
        self, root: Path, formats: Sequence[Format], sources: Iterable[Source], *, overwrite: bool
    ) -> None:
        self._formats = formats
        self._targets = iter(_targets(root, sources, formats, overwrite=overwrite))

    def write(self, result: Result) -> None:
        """Write the files of one result; a failed input gets none."""
        stem = next(self._targets)
        if isinstance(result, Failure):
            return
        stem.parent.mkdir(parents=True, exist_ok=True)
        for chosen in self._formats:
            target = with_extension(stem, chosen)
            temporary = target.with_name(f".sew-{os.getpid()}-{target.name}")
            temporary.write_bytes(chosen.write(result, with_path=False))
            temporary.replace(target)


def _targets(
    root: Path, sources: Iterable[Source], formats: Sequence[Format], *, overwrite: bool
) -> list[Path]:
    """Output path without extension for each source; collisions are found here."""
    owners: dict[Path, str] = {}
    stems = []
    for source in sources:
        stem = root / output_stem(source)
        if stem in owners:
            raise UsageError(
                f"{owners[stem]} and {source.path} would both be written to {stem}",
                hint="run them with two output directories",
            )
        for chosen in formats:
            target = with_extension(stem, chosen)
            if target.exists() and not overwrite:
                raise UsageError(
                    f"{target} exists", hint="add --overwrite to replace it, or choose another -o"
                )
        owners[stem] = source.path
        stems.append(stem)
    return stems


def output_stem(source: Source) -> PurePath:
    """Place of a source's output below the output directory, without extension.

    Files found in a directory keep their place below it; others keep their name alone.
    """
    if source.path == STDIN:
        return PurePath("stdin")
    path = PurePath(source.path)
    relative = path.relative_to(source.root) if source.root else PurePath(path.name)
    stem = relative.with_name(relative.stem or relative.name)
    if source.duration is not None or source.offset:
        end = "" if source.duration is None else f"{source.offset + source.duration:g}"
        stem = stem.with_name(f"{stem.name}_{source.offset:g}-{end}")
    return stem


def with_extension(stem: Path, chosen: Format) -> Path:
    """File of one format; dots in the stem are kept."""
    return stem.with_name(stem.name + chosen.extension)

"""Where results go: standard output, or one file an input and format in a directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Protocol

from sewcli.errors import SewError, UsageError
from sewcli.results import Classification, Failure, Transcript
from sewcli.sources import STDIN, Source
from sewcli.writers import FORMATS, Format

Result = Transcript | Classification | Failure


class ClosedPipe(Exception):  # noqa: N818 - nothing went wrong
    """The reader of standard output has gone away.

    Not an OSError, of which Typer would make exit code 1.
    """


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


def write_stdout(content: bytes) -> None:
    """Write and flush bytes to standard output (ClosedPipe, or SewError where that cannot be)."""
    if sys.stdout is None:
        raise SewError("standard output is closed", hint="redirect it, or add -o DIR", code="output")
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        raise ClosedPipe from error
    except OSError as error:
        raise SewError(f"cannot write to standard output: {error.strerror}", code="output") from error


class StandardOutput:
    """One record after the other, each flushed, as bytes: nothing wraps or re-encodes them."""

    def __init__(self, chosen: Format, *, with_path: bool) -> None:
        self._format = chosen
        self._with_path = with_path

    def write(self, result: Result) -> None:
        """Write one result.

        Raises:
            ClosedPipe: nobody reads any more. SewError: it cannot be written.
        """
        write_stdout(self._format.write(result, with_path=self._with_path))


class Directory:
    """One file an input and format, written under a temporary name and renamed when complete.

    Args:
        root: the directory; made if it is not there.
        formats: to write for each input.
        sources: all inputs, in the order of the results.
        overwrite: replace files that exist.

    Raises:
        UsageError: two inputs would write the same file, a file exists and may not be replaced, or the
            directory cannot be made.
    """

    def __init__(
        self, root: Path, formats: Sequence[Format], sources: Iterable[Source], *, overwrite: bool
    ) -> None:
        self._formats = formats
        self._targets = iter(_targets(root, sources, formats, overwrite=overwrite))
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"-o {root}: cannot be a directory: {error.strerror}") from error

    def write(self, result: Result) -> None:
        """Write the files of one result; a failed input gets none (SewError where one cannot be)."""
        stem = next(self._targets)
        if isinstance(result, Failure):
            return
        for chosen in self._formats:
            target = with_extension(stem, chosen)
            try:
                stem.parent.mkdir(parents=True, exist_ok=True)
                write_whole(target, chosen.write(result, with_path=False))
            except OSError as error:
                raise SewError(f"cannot write {target}: {error.strerror}", code="output") from error


def write_whole(target: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it, so that it is never there in part."""
    temporary = target.with_name(f".sew-{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


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
    # a name like "." or "/" is no file and fails later; it needs a name here all the same
    stem = relative.with_name(relative.stem) if relative.name else PurePath("input")
    if source.duration is not None or source.offset:
        end = "end" if source.duration is None else _seconds(source.offset + source.duration)
        stem = stem.with_name(f"{stem.name}_{_seconds(source.offset)}-{end}")
    return stem


def _seconds(value: float) -> str:
    """Seconds to the millisecond, without zeros at the end."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def with_extension(stem: Path, chosen: Format) -> Path:
    """File of one format; dots in the stem are kept."""
    return stem.with_name(stem.name + chosen.extension)

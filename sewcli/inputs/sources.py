"""What to read, in order: the inputs of a command as a stream of sources.

Nothing is opened here but lists and folders: a file that does not exist is a source as well, and fails
when its turn comes. Only what makes the whole command meaningless is a UsageError.
"""

from __future__ import annotations

import codecs
import json
import logging
import math
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sewcli.errors import UsageError
from sewcli.inputs.faults import reason_of
from sewcli.inputs.folders import Walk, is_folder
from sewcli.inputs.formats import INSTALL_MEDIA
from sewcli.inputs.raw import RawAudio
from sewcli.inputs.selection import EVERYTHING, Selection
from sewcli.inputs.urls import check_url, is_url
from sewcli.results import Failure

STDIN = "-"

_log = logging.getLogger("sewcli")

_READ_SIZE = 1 << 16


@dataclass(frozen=True)
class Source:
    """One input: a file, a part of a file, or standard input.

    Attributes:
        path: the name shown to the user and written to the output; "-" is standard input, and it may be an
            address (sewcli.inputs.urls). Bytes that are not UTF-8 are surrogate escapes, as os.fsdecode gives
            them.
        file: the place to open; Path("-") for standard input, and of no meaning for an address.
        offset: where to start, in seconds.
        duration: how much to read, in seconds; None reads to the end.
        text: the reference transcript of a manifest row, or None.
        root: the folder given by the user in which the file was found, or None.
        error: why there is nothing to open (a bad manifest row, a folder that cannot be listed), or None.
        channel: the one to read, from 0; None mixes all.
        raw: how its samples are written, where it has no header.
    """

    path: str
    file: Path
    offset: float = 0.0
    duration: float | None = None
    text: str | None = None
    root: str | None = None
    error: str | None = None
    channel: int | None = None
    raw: RawAudio | None = None

    @property
    def part(self) -> tuple[float | None, float | None]:
        """Where the part of the file that is read begins and ends, in seconds; no beginning for all of it."""
        if self.duration is None:
            return self.offset or None, None
        return self.offset, self.offset + self.duration

    def failure(self, code: str, message: str) -> Failure:
        """What stands in the place of its result."""
        return Failure(self.path, code, message, self.channel, self.part[0])

    @property
    def is_stdin(self) -> bool:
        """Whether it is read from standard input (and not from a copy of it on disk)."""
        return self.path == STDIN == str(self.file)

    @property
    def is_url(self) -> bool:
        """Whether it is fetched from an address."""
        return is_url(self.path)


def check(
    inputs: Sequence[str],
    files_from: str | None = None,
    selection: Selection = EVERYTHING,
    *,
    offline: bool = False,
) -> None:
    """Raise what is wrong with the inputs as a whole, before anything runs.

    Folders are listed up to their first audio file; no file is opened.

    Raises:
        UsageError: there is no input, one is an empty string, standard input is used twice, a folder holds
            no audio, an address needs what is not there, or the list is not a readable file.
    """
    if not inputs and files_from is None:
        raise UsageError(
            "no input given", hint="name files or folders, - for standard input, or --files-from FILE"
        )
    if "" in inputs:
        raise UsageError("an input is an empty string", hint="look for a shell variable that is not set")
    if list(inputs).count(STDIN) + (files_from == STDIN) > 1:
        raise UsageError(
            "standard input can be read only once", hint="use - for one input or for --files-from"
        )
    if sys.stdin is None and STDIN in (*inputs, files_from):
        raise UsageError("standard input is closed", hint="redirect a file to it, or name one")
    for given in inputs:
        if is_url(given):
            check_url(given, offline=offline)
        elif given != STDIN and is_folder(given):
            walk = Walk(given, selection)
            if next(walk.files(given), None) is None:
                raise walk.nothing_found()
    if files_from is not None and files_from != STDIN:
        _check_list(files_from)


def expand(
    inputs: Sequence[str],
    *,
    files_from: str | None = None,
    null_separated: bool = False,
    stdin: BinaryIO | None = None,
    selection: Selection = EVERYTHING,
) -> Iterator[Source]:
    """Yield one source an input, in order: the inputs first, then the entries of the list.

    Folders are read recursively with their entries sorted by name; hidden entries and links to folders are
    skipped, and only files count whose format can be decoded on this machine, by their extension. A list is
    streamed: an entry is yielded as soon as its line is there. A line that begins with { is a row of a NeMo
    manifest, with its path relative to the folder of the manifest; any other line is a path as it stands
    (also if it is a folder, which then fails as an input). With null_separated every entry is a path. A row
    is cut to [offset, offset + duration) only if it has the key "offset": the duration alone describes a
    whole file.

    Args:
        inputs: files, folders and "-".
        files_from: a file that lists inputs, or "-" for standard input.
        null_separated: the entries of the list end with a NUL byte, as from find -print0.
        stdin: where the list "-" is read from; sys.stdin.buffer by default.
        selection: which entries of a folder count; inputs that are named always do.

    Raises:
        UsageError: as check(), which it does not call; also if the list turns out to be empty and there
            is no other input.
    """
    for given in inputs:
        if given != STDIN and is_folder(given):
            yield from _folder(given, selection)
        else:
            yield Source(given, Path(given))
    if files_from is None:
        return
    listed = False
    for listed_source in _listed(files_from, null_separated, stdin):
        listed = True
        yield listed_source
    if not listed and not inputs:
        raise UsageError(
            f"{_list_name(files_from)} lists no input", hint="give one path or manifest row a line"
        )


def _folder(folder: str, selection: Selection) -> Iterator[Source]:
    walk = Walk(folder, selection)
    found = False
    for path, error in walk.files(folder):
        found = True
        yield Source(path, Path(path), root=None if error else folder, error=error)
    if not found:
        raise walk.nothing_found()
    if walk.skipped:
        _log.warning(
            "%s: %d files passed over (%s); to read them: %s",
            folder,
            walk.skipped.total(),
            " ".join(sorted(walk.skipped)),
            INSTALL_MEDIA,
        )


def _list_name(files_from: str) -> str:
    return "standard input" if files_from == STDIN else files_from


def _check_list(files_from: str) -> None:
    # Not opened: the list may be a pipe, <(find ...), that can be opened only once.
    hint = "--files-from takes a file with one path or manifest row a line"
    try:
        is_folder = stat.S_ISDIR(Path(files_from).stat().st_mode)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError(f"{files_from}: the list cannot be read: {reason}", hint=hint) from error
    if is_folder:
        raise UsageError(f"{files_from}: the list is a folder", hint=hint)
    if not os.access(files_from, os.R_OK):
        raise UsageError(f"{files_from}: the list cannot be read: permission denied", hint=hint)


def _listed(files_from: str, null_separated: bool, stdin: BinaryIO | None) -> Iterator[Source]:
    if files_from == STDIN:
        yield from _entries(stdin if stdin is not None else sys.stdin.buffer, STDIN, Path(), null_separated)
        return
    _check_list(files_from)
    with Path(files_from).open("rb") as stream:
        yield from _entries(stream, files_from, Path(files_from).parent, null_separated)


def _entries(stream: BinaryIO, name: str, folder: Path, null_separated: bool) -> Iterator[Source]:
    for number, record in enumerate(_records(stream, b"\0" if null_separated else b"\n"), start=1):
        if null_separated:
            if record:
                yield _plain(record)
            continue
        if number == 1 and b"\0" in record:
            raise UsageError(
                f"{_list_name(name)}: no list of paths, one a line",
                hint="add -0 for what find -print0 gives; a recording is an input without --files-from",
            )
        line = record.removeprefix(codecs.BOM_UTF8) if number == 1 else record
        line = line.removesuffix(b"\r")
        if not line.strip():
            continue
        yield _row(line, f"{name}:{number}", folder) if line.lstrip().startswith(b"{") else _plain(line)


def _records(stream: BinaryIO, separator: bytes) -> Iterator[bytes]:
    """Split a stream at a separator, each piece as soon as its end is there."""
    # read1 returns what a pipe holds; read would wait until its block is full.
    read = getattr(stream, "read1", stream.read)
    parts: list[bytes] = []
    while block := read(_READ_SIZE):
        first, *others = block.split(separator)
        parts.append(first)
        for piece in others:
            yield b"".join(parts)
            parts = [piece]
    if last := b"".join(parts):
        yield last


def _plain(record: bytes) -> Source:
    path = _not_stdin(os.fsdecode(record))
    return Source(path, Path(path))


def _not_stdin(path: str) -> str:
    # In a list "-" can only be a file of that name; "./-" is how a shell user writes it.
    return f"./{STDIN}" if path == STDIN else path


def _row(line: bytes, where: str, folder: Path) -> Source:
    try:
        row = json.loads(line.decode("utf-8", "surrogateescape"))
        return manifest_source(row, folder)
    except (ValueError, OverflowError, RecursionError) as error:
        return Source(where, Path(where), error=f"not a row of a manifest: {reason_of(error)}")


def manifest_source(row: dict[str, object], folder: Path) -> Source:
    """Make the source of a manifest row, its path relative to `folder`.

    Raises:
        ValueError: a field is missing or of the wrong type; the message says which.
    """
    path = row.get("audio_filepath")
    if not isinstance(path, str) or not path:
        raise ValueError('"audio_filepath" is missing or not a string')
    os.fsencode(path)  # a UnicodeEncodeError, which is a ValueError, where no file can have that name
    text = row.get("text")
    if text is not None and not isinstance(text, str):
        raise ValueError('"text" is not a string')
    offset, duration = _seconds(row, "offset"), _seconds(row, "duration")
    shown = _not_stdin(path)
    file = Path(path) if is_url(path) else folder / path
    if offset is None:
        return Source(shown, file, text=text)
    return Source(shown, file, offset, duration, text)


def _seconds(row: dict[str, object], key: str) -> float | None:
    value: Any = row.get(key)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise ValueError(f'"{key}" is not a number of seconds from 0 up')
    return float(value)

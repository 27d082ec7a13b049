"""Lists of inputs, entry by entry: paths, rows of a manifest, error objects of an earlier run."""

from __future__ import annotations

import codecs
import json
import logging
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sewcli.errors import UsageError
from sewcli.inputs.faults import reason_of
from sewcli.inputs.source import STDIN, Source
from sewcli.inputs.standard_input import standard_input
from sewcli.inputs.urls import is_url

_log = logging.getLogger("sewcli")

_READ_SIZE = 1 << 16
#: bytes of an entry; a device such as /dev/zero has no end
_LONGEST = 64 << 20


def list_name(files_from: str) -> str:
    """The name of a list in messages."""
    return "standard input" if files_from == STDIN else files_from


def check_list(files_from: str) -> None:
    """Raise UsageError unless the list can be read."""
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


def entries_of(files_from: str, null_separated: bool, stdin: BinaryIO | None) -> Iterator[Source]:
    """The entries of a list, see `sewcli.inputs.sources.expand`; UsageError where it is none."""
    if files_from == STDIN:
        yield from _entries(stdin if stdin is not None else standard_input(), STDIN, Path(), null_separated)
        return
    check_list(files_from)
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
                f"{list_name(name)}: no list of paths, one a line",
                hint="add -0 for what find -print0 gives; a recording is an input without --files-from",
            )
        line = record.removeprefix(codecs.BOM_UTF8) if number == 1 else record
        line = line.removesuffix(b"\r")
        if not line.strip():
            continue
        if not line.lstrip().startswith(b"{"):
            yield _plain(line)
        elif (row := _row(line, f"{name}:{number}", folder)) is not None:
            yield row


def _records(stream: BinaryIO, separator: bytes) -> Iterator[bytes]:
    """Split a stream at a separator, each piece as soon as its end is there."""
    # read1 returns what a pipe holds; read would wait until its block is full.
    read = getattr(stream, "read1", stream.read)
    parts: list[bytes] = []
    length = 0
    while block := read(_READ_SIZE):
        length = 0 if separator in block else length + len(block)
        if length > _LONGEST:
            raise UsageError("the list has an entry without an end", hint="it is no list of paths or rows")
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


def _row(line: bytes, where: str, folder: Path) -> Source | None:
    """The source of a row; None for a failure (of --failures) that was that of no file."""
    try:
        row = json.loads(line.decode("utf-8", "surrogateescape"))
        if "error" in row and row.get("audio_filepath", "") is None:
            _log.warning("%s: passed over: what failed there was no file", where)
            return None
        return manifest_source(row, folder)
    except (ValueError, OverflowError, RecursionError) as error:
        problem = f"not a row of a manifest: {reason_of(error)}"
        return Source(where, Path(where), error=problem, has_file=False)


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
    channel: Any = row.get("channel")
    if type(channel) is float and channel.is_integer():  # as tables with gaps have whole numbers
        channel = int(channel)
    if not (channel is None or (type(channel) is int and channel >= 0)):
        raise ValueError('"channel" is not a number from 0 up')
    file = Path(path) if is_url(path) else folder / path
    announced = duration
    if "error" in row:  # of --failures: the name that was given then
        given = row.get("path", path)
        if not isinstance(given, str):
            raise ValueError('"path" is not a string')
        shown, announced = given, None
    if offset is None:
        return Source(shown, file, text=text, channel=channel, announced=announced)
    return Source(shown, file, offset, duration, text, channel=channel, announced=announced)


def _seconds(row: dict[str, object], key: str) -> float | None:
    value: Any = row.get(key)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise ValueError(f'"{key}" is not a number of seconds from 0 up')
    return float(value)

"""Names made from inputs: for output files, and for utterances in formats that name them."""

from __future__ import annotations

from pathlib import PurePath

from sewcli.inputs.source import STDIN
from sewcli.inputs.urls import file_name, is_url


def plain_stem(path: str) -> str:
    """The file name of an input without its extension; dots before that are kept.

    A name like "." or "/" is no file and fails when it is read; it needs a name here all the same.
    """
    return PurePath(plain_name(path)).stem or "input"


def plain_name(path: str) -> str:
    """The file name of an input: the last part of a path or address, "stdin" for standard input."""
    if path == STDIN:
        return "stdin"
    return (file_name(path) if is_url(path) else PurePath(path).name) or "input"


def part_suffix(offset: float | None, end: float | None, channel: int | None) -> str:
    """What tells a part of an input from the whole: "_1.5-3" in time, "_ch0" for a channel, or nothing.

    Args:
        offset: where the part begins, in seconds; None for all of the file.
        end: where it ends; None is the end of the file.
        channel: from 0; None for the mix.
    """
    suffix = ""
    if offset is not None:
        suffix = f"_{_seconds(offset)}-{'end' if end is None else _seconds(end)}"
    return suffix if channel is None else f"{suffix}_ch{channel}"


def _seconds(value: float) -> str:
    """Seconds to the millisecond, without zeros at the end."""
    return f"{value:.3f}".rstrip("0").rstrip(".")

"""Tab-separated cues with times in milliseconds, the columns of the whisper command line."""

from __future__ import annotations

import os

from sewcli.writers.layout import Layout, Result, channel_column, cues_of, milliseconds


def header(layout: Layout) -> bytes:
    """The names of the columns."""
    names = ["path"] * layout.with_path + ["channel"] * layout.with_channel + ["start", "end", "text"]
    return "\t".join(names).encode() + b"\n"


def write(result: Result, layout: Layout) -> bytes:
    """One line a cue; a path in front is quoted as in CSV where it holds a tab or a line break."""
    prefix = _field(result.path) + b"\t" if layout.with_path else b""
    if layout.with_channel:
        prefix += channel_column(result)
    return b"".join(
        prefix + f"{milliseconds(cue.start)}\t{milliseconds(cue.end)}\t{cue.text}\n".encode()
        for cue in cues_of(result, layout)
    )


def _field(path: str) -> bytes:
    if any(mark in path for mark in '\t\n\r"'):
        path = '"' + path.replace('"', '""') + '"'
    return os.fsencode(path)

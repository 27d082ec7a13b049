"""Tab-separated cues with times in milliseconds, the columns of the whisper command line."""

from __future__ import annotations

import os

from sewcli.writers.layout import Layout, Result, cues_of, milliseconds


def header(layout: Layout) -> bytes:
    """The names of the columns."""
    return b"path\tstart\tend\ttext\n" if layout.with_path else b"start\tend\ttext\n"


def write(result: Result, layout: Layout) -> bytes:
    """One line a cue; a path in front is quoted as in CSV where it holds a tab or a line break."""
    prefix = _field(result.path) + b"\t" if layout.with_path else b""
    return b"".join(
        prefix + f"{milliseconds(cue.start)}\t{milliseconds(cue.end)}\t{cue.text}\n".encode()
        for cue in cues_of(result, layout)
    )


def _field(path: str) -> bytes:
    if any(mark in path for mark in '\t\n\r"'):
        path = '"' + path.replace('"', '""') + '"'
    return os.fsencode(path)

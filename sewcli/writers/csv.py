"""Comma-separated cues (RFC 4180, lines ending in LF), with times in seconds."""

from __future__ import annotations

import csv
import io

from sewcli.writers.layout import Layout, Result, cues_of

_COLUMNS = ("path", "channel", "start", "end", "text", "confidence")


def header(layout: Layout) -> bytes:  # noqa: ARG001 - the same for every layout
    """The names of the columns."""
    return _rows([_COLUMNS])


def write(result: Result, layout: Layout) -> bytes:
    """One row a cue, the same columns always; the channel is empty where all were mixed."""
    channel = "" if result.channel is None else result.channel
    return _rows(
        [
            (result.path, channel, f"{cue.start:.3f}", f"{cue.end:.3f}", cue.text, f"{cue.confidence:.4f}")
            for cue in cues_of(result, layout)
        ]
    )


def _rows(rows: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    # a lone CR is quoted by none but writers that end lines with it
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoted if any("\r" in str(cell) for cell in row) else plain).writerow(row)
    return text.getvalue().encode("utf-8", "surrogateescape")

"""WebVTT subtitles (https://www.w3.org/TR/webvtt1/)."""

from __future__ import annotations

from sewcli.results import Transcript
from sewcli.writers.cues import readable
from sewcli.writers.layout import Layout, Result, clock, cues_of, end_of

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def write(result: Result, layout: Layout) -> bytes:
    """The header, and a block a cue; what could be taken for a tag is escaped (section 3.5 there)."""
    if not isinstance(result, Transcript):
        return b""
    shown = readable(cues_of(result, layout), end_of(result), layout.shape)
    return "".join(
        ["WEBVTT\n"]
        + [
            f"\n{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n"
            + "\n".join(cue.lines).translate(_ESCAPES)
            + "\n"
            for cue in shown
        ]
    ).encode()

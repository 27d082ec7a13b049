"""SubRip subtitles."""

from __future__ import annotations

from sewcli.results import Transcript
from sewcli.writers.cues import readable
from sewcli.writers.layout import Layout, Result, clock, cues_of, end_of


def write(result: Result, layout: Layout) -> bytes:
    """Numbered cues, each with a blank line behind it; an empty transcript is an empty file."""
    if not isinstance(result, Transcript):
        return b""
    shown = readable(cues_of(result, layout), end_of(result), layout.shape)
    return "".join(
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n" + "\n".join(cue.lines) + "\n\n"
        for number, cue in enumerate(shown, start=1)
    ).encode()

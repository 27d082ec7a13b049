"""STM, the segments of sclite."""

from __future__ import annotations

from sewcli.results import Transcript
from sewcli.writers.layout import Layout, Result, end_of, start_of
from sewcli.writers.sctk import channel_number, encoded, word_of


def write(result: Result, layout: Layout) -> bytes:  # noqa: ARG001 - nothing is open
    """A line a transcript: file, channel, speaker, start, end, text.

    Who speaks is not known; the name of the file stands there, so that sclite reports by file.
    """
    if not isinstance(result, Transcript):
        return b""
    file, times = word_of(result.path), f"{start_of(result):.3f} {end_of(result):.3f}"
    return encoded(f"{file} {channel_number(result)} {file} {times} {result.text}".rstrip() + "\n")

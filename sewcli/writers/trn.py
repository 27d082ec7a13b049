"""TRN, the transcripts of sclite without times."""

from __future__ import annotations

from sewcli.inputs.names import part_suffix
from sewcli.results import Transcript
from sewcli.writers.layout import Layout, Result, end_of
from sewcli.writers.sctk import encoded, word_of


def write(result: Result, layout: Layout) -> bytes:  # noqa: ARG001 - nothing is open
    """A line a transcript: the text, and the name of the utterance in parentheses."""
    if not isinstance(result, Transcript):
        return b""
    end = None if result.offset is None else end_of(result)
    name = word_of(result.path) + part_suffix(result.offset, end, result.channel)
    return encoded(f"{result.text} ({name})".lstrip() + "\n")

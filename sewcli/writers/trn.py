"""TRN, the transcripts of sclite without times."""

from __future__ import annotations

from sewcli.results import Transcript
from sewcli.writers.layout import Layout, Result
from sewcli.writers.sctk import encoded, suffix_of, word_of


def write(result: Result, layout: Layout) -> bytes:  # noqa: ARG001 - nothing is open
    """A line a transcript: the text, and the name of the utterance in parentheses."""
    if not isinstance(result, Transcript):
        return b""
    return encoded(f"{result.text} ({word_of(result.path)}{suffix_of(result)})".lstrip() + "\n")

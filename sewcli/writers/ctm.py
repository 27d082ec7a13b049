"""CTM, the hypotheses of sclite with times."""

from __future__ import annotations

from sewcli.writers.layout import Layout, Result, words_of
from sewcli.writers.sctk import channel_number, encoded, word_of


def write(result: Result, layout: Layout) -> bytes:  # noqa: ARG001 - nothing is open
    """A line a word: file, channel, start, duration, word, confidence."""
    head = f"{word_of(result.path)} {channel_number(result)}"
    return encoded(
        "".join(
            f"{head} {word.start:.3f} {word.end - word.start:.3f} {word.text} {word.confidence:.4f}\n"
            for word in words_of(result)
        )
    )

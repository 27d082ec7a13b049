"""What a decoder returns: text, and each token with its frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sewcli.chunking import frame_end, frame_start
from sewcli.results import Alternative, Span


class Token(NamedTuple):
    """One token of a hypothesis.

    Attributes:
        text: the token.
        first, last: its frames in the recording, as a closed range.
        log_posterior: sum of the log-posteriors of those frames.
        word: index of the word it belongs to.
    """

    text: str
    first: int
    last: int
    log_posterior: float
    word: int


@dataclass(frozen=True)
class Hypothesis:
    """A decoded utterance.

    Attributes:
        text: its words joined by spaces.
        tokens: of the words, in order; empty where no times are wanted.
        alternatives: the best texts with their scores, this one first; None where one was asked for.
        hotwords: how often each is in the text; None where there are none.
    """

    text: str
    tokens: tuple[Token, ...]
    alternatives: tuple[Alternative, ...] | None = None
    hotwords: Mapping[str, int] | None = None

    def chars(self, duration: float, offset: float = 0.0) -> tuple[Span, ...]:
        """Every token as a span; see `words`."""
        return tuple(_span([token], duration, offset) for token in self.tokens)

    def words(self, duration: float, offset: float = 0.0) -> tuple[Span, ...]:
        """Every word as a span.

        Args:
            duration: of the recording in seconds; no span ends later.
            offset: where in its file the recording begins; times are relative to the file.
        """
        words: dict[int, list[Token]] = {}
        for token in self.tokens:
            words.setdefault(token.word, []).append(token)
        return tuple(_span(tokens, duration, offset) for tokens in words.values())


def _span(tokens: list[Token], duration: float, offset: float) -> Span:
    frames = sum(token.last - token.first + 1 for token in tokens)
    confidence = math.exp(sum(token.log_posterior for token in tokens) / frames)
    return Span(
        text="".join(token.text for token in tokens),
        start=round(offset + frame_start(tokens[0].first), 3),
        end=round(offset + min(frame_end(tokens[-1].last), duration), 3),
        confidence=round(min(confidence, 1.0), 4),
    )

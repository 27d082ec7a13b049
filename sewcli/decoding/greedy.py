"""Greedy CTC decoding: the best token of each frame, repeats merged, blanks dropped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sewcli.decoding.hypothesis import Hypothesis, Token
from sewcli.decoding.vocabulary import Vocabulary


class GreedyDecoder:
    """Decodes one recording as its frames pass; keeps no logits.

    What it holds grows with the tokens found, not with the frames.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokens: list[Token] = []
        self._frame = 0
        self._word = 0
        self._previous = vocabulary.blank

    def push(self, logits: NDArray[np.float32]) -> None:
        """Take in the logits of the next frames, shape (T, V)."""
        if not len(logits):
            return
        best, scores = self._vocabulary.best(logits)
        # by runs of one token: most frames repeat the one before, and are not looked at one by one
        ends = np.flatnonzero(best[1:] != best[:-1])
        firsts, lasts = np.concatenate([[0], ends + 1]), np.concatenate([ends, [best.size - 1]])
        sums = np.add.reduceat(scores.astype(np.float64), firsts)
        tokens = best[firsts]
        previous, self._previous = self._previous, int(tokens[-1])
        # blanks only keep what is on both sides apart; the first run may go on from the logits before
        kept = np.flatnonzero(tokens != self._vocabulary.blank)
        firsts, lasts = firsts + self._frame, lasts + self._frame
        columns = (column[kept].tolist() for column in (tokens, firsts, lasts, sums))
        for run, token, first, last, score in zip(kept.tolist(), *columns, strict=True):
            self._take(token, first, last, score, goes_on=run == 0 and token == previous)
        self._frame += best.size

    def _take(self, token: int, first: int, last: int, score: float, *, goes_on: bool) -> None:
        """One run of a token that is not blank."""
        tokens, vocabulary = self._tokens, self._vocabulary
        if token == vocabulary.delimiter:
            if tokens:
                self._word = tokens[-1].word + 1
        elif goes_on:
            begun = tokens[-1]
            tokens[-1] = begun._replace(last=last, log_posterior=begun.log_posterior + score)
        else:
            tokens.append(Token(vocabulary.tokens[token], first, last, score, self._word))

    def finish(self) -> Hypothesis:
        """The transcript of all frames so far."""
        words: dict[int, str] = {}
        for token in self._tokens:
            words[token.word] = words.get(token.word, "") + token.text
        return Hypothesis(" ".join(words.values()), tuple(self._tokens))

    def close(self) -> None:
        """Nothing to give back."""

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
        posteriors = self._vocabulary.log_posteriors(logits)
        best = posteriors.argmax(axis=1)
        scores = posteriors[np.arange(best.size), best].astype(np.float64)
        # by runs of one token: most frames repeat the one before, and are not looked at one by one
        firsts = np.flatnonzero(np.diff(best, prepend=-1))
        lasts = np.append(firsts[1:], best.size) - 1
        sums = np.add.reduceat(scores, firsts)
        runs = (best[firsts], firsts + self._frame, lasts + self._frame, sums)
        for token, first, last, score in zip(*(column.tolist() for column in runs), strict=True):
            self._take(token, first, last, score)
        self._frame += best.size

    def _take(self, token: int, first: int, last: int, score: float) -> None:
        """One run of a token, which may go on from the logits before."""
        tokens, vocabulary = self._tokens, self._vocabulary
        if token == vocabulary.delimiter:
            if tokens:
                self._word = tokens[-1].word + 1
        elif token == vocabulary.blank:
            pass
        elif token == self._previous:
            begun = tokens.pop()
            tokens.append(Token(begun.text, begun.first, last, begun.log_posterior + score, begun.word))
        else:
            tokens.append(Token(vocabulary.tokens[token], first, last, score, self._word))
        self._previous = token

    def finish(self) -> Hypothesis:
        """The transcript of all frames so far."""
        words: dict[int, str] = {}
        for token in self._tokens:
            words[token.word] = words.get(token.word, "") + token.text
        return Hypothesis(" ".join(words.values()), tuple(self._tokens))

    def close(self) -> None:
        """Nothing to give back."""

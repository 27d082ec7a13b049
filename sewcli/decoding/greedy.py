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
        vocabulary = self._vocabulary
        posteriors = vocabulary.log_posteriors(logits)
        best = posteriors.argmax(axis=1)
        scores = posteriors[np.arange(best.size), best]
        for token, score in zip(best.tolist(), scores.tolist(), strict=True):
            if token not in (vocabulary.blank, vocabulary.delimiter):
                self._append(token, score)
            elif token == vocabulary.delimiter and self._tokens:
                self._word = self._tokens[-1].word + 1
            self._previous = token
            self._frame += 1

    def _append(self, token: int, score: float) -> None:
        if token == self._previous:
            last = self._tokens.pop()
            self._tokens.append(
                Token(last.text, last.first, self._frame, last.log_posterior + score, last.word)
            )
        else:
            text = self._vocabulary.tokens[token]
            self._tokens.append(Token(text, self._frame, self._frame, score, self._word))

    def finish(self) -> Hypothesis:
        """The transcript of all frames so far."""
        words: dict[int, str] = {}
        for token in self._tokens:
            words[token.word] = words.get(token.word, "") + token.text
        return Hypothesis(" ".join(words.values()), tuple(self._tokens))

    def close(self) -> None:
        """Nothing to give back."""

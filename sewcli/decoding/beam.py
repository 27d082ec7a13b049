"""Beam search through pyctcdecode, once over the logits of a whole recording.

pyctcdecode has no streaming decoder, and decoding chunk by chunk would split words; so the frames
of a recording wait in a temporary file that is mapped into memory when the last one has come.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sewcli.decoding.alignment import align
from sewcli.decoding.frames import FrameFile
from sewcli.decoding.hypothesis import Hypothesis, Token
from sewcli.decoding.support import require_pyctcdecode
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import UsageError

#: log-posteriors below this are equally impossible; pyctcdecode cannot take -inf
_FLOOR = -50.0


class BeamSearch:
    """The search, built once and used for every recording.

    Args:
        vocabulary: of the model.
        width: how many prefixes are kept at each frame.
        hotwords: words and phrases to prefer, in any letter case.
        hotword_weight: how strongly.

    Raises:
        UsageError: pyctcdecode is not installed or cannot be on this Python, or the vocabulary
            cannot spell a hotword or has tokens that are not single characters.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        width: int = 100,
        hotwords: tuple[str, ...] = (),
        hotword_weight: float = 10.0,
    ) -> None:
        longer = sorted(token for token in vocabulary.text_tokens if len(token) > 1)
        if longer:
            raise UsageError(
                f"beam search needs tokens of one character; this model's vocabulary has {longer[0]!r}",
                hint="use --decoder greedy",
            )
        if not 0 <= hotword_weight < float("inf"):
            raise UsageError(f"the weight of hotwords is {hotword_weight:g}; it is a number from 0 up")
        self.vocabulary = vocabulary
        self.width = width
        self.hotwords = spellable(vocabulary, hotwords)
        self.hotword_weight = hotword_weight
        self._decoder = _build(vocabulary)

    def recording(self) -> BeamDecoder:
        """A decoder for one recording."""
        return BeamDecoder(self)

    def search(self, log_posteriors: NDArray[np.float32]) -> Hypothesis:
        """Decode all frames of a recording, shape (T, V)."""
        vocabulary = self.vocabulary
        beams = self._decoder.decode_beams(
            np.maximum(log_posteriors[:, vocabulary.columns], _FLOOR),
            beam_width=self.width,
            hotwords=list(self.hotwords) or None,
            hotword_weight=self.hotword_weight,
        )
        words = beams[0][2]
        ids = {token: index for index, token in enumerate(vocabulary.tokens)}
        tokens: list[Token] = []
        for index, (word, (first, end)) in enumerate(words):
            spelling = [ids[character] for character in word]
            spans = align(log_posteriors[first:end], spelling, vocabulary.blank)
            tokens += [
                Token(character, first + start, first + last, score, index)
                for character, (start, last, score) in zip(word, spans, strict=True)
            ]
        return Hypothesis(" ".join(word for word, _ in words), tuple(tokens))


class BeamDecoder:
    """Collects the frames of one recording and decodes them at its end."""

    def __init__(self, search: BeamSearch) -> None:
        self._search = search
        self._frames = FrameFile(len(search.vocabulary.tokens))

    def push(self, logits: NDArray[np.float32]) -> None:
        """Take in the logits of the next frames, shape (T, V)."""
        self._frames.append(self._search.vocabulary.log_posteriors(logits))

    def finish(self) -> Hypothesis:
        """The best transcript of all frames."""
        if len(self._frames) == 0:
            return Hypothesis("", ())
        return self._search.search(self._frames.mapped())

    def close(self) -> None:
        """Give the temporary file back."""
        self._frames.close()


def spellable(vocabulary: Vocabulary, words: tuple[str, ...]) -> tuple[str, ...]:
    """Words in the letter case of the vocabulary.

    Raises:
        UsageError: the vocabulary has no token for a character of one of them.
    """
    folded = tuple(vocabulary.fold(word) for word in words)
    for word in folded:
        if not word.strip():
            raise UsageError("a hotword is empty", hint="look for a shell variable that is not set")
        unknown = sorted({c for c in word if c != " " and c not in vocabulary.text_tokens})
        if unknown:
            raise UsageError(
                f"the model cannot spell the hotword {word!r}: its vocabulary has no {' '.join(unknown)}",
                hint="spell it with the characters the model writes, numbers as words",
            )
    return folded


def _build(vocabulary: Vocabulary) -> Any:
    require_pyctcdecode()
    # it recommends kenlm at import, which nothing here uses
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    import pyctcdecode

    labels = []
    for index in vocabulary.columns:
        if index == vocabulary.blank:
            labels.append("")
        elif index == vocabulary.delimiter:
            labels.append(" ")
        else:
            labels.append(vocabulary.tokens[index])
    return pyctcdecode.build_ctcdecoder(labels)

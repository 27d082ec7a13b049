"""A known text in place of a decoded one: its words, and where in the frames they were said."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sewcli.decoding.alignment import align, frames_needed
from sewcli.decoding.hypothesis import Hypothesis, Token
from sewcli.decoding.vocabulary import Vocabulary, without_marks


class KnownText:
    """A text as the vocabulary spells it.

    Args:
        text: in any letter case and with any white space between its words; None where none is known.
        vocabulary: of the model.
        ignore_punctuation: marks that the vocabulary lacks stay in the words and are not looked for; those
            that stand alone are left out.

    Raises:
        ValueError: there are no words, or the vocabulary cannot spell them; the message says which
            characters it lacks.
    """

    def __init__(self, text: str | None, vocabulary: Vocabulary, *, ignore_punctuation: bool = False) -> None:
        if text is None:
            raise ValueError("its row has no text")
        known = set(vocabulary.text_tokens)

        def parts_of(word: str) -> list[str]:
            """What of a word is spelled: it itself, or what its marks leave of it."""
            return without_marks(vocabulary.fold(word), known).split() if ignore_punctuation else [word]

        parts = {word: parts_of(word) for word in text.split()}
        self.words = tuple(word for word in text.split() if parts[word])
        if not self.words:
            raise ValueError("the text is empty")
        between = [] if vocabulary.delimiter is None else [vocabulary.delimiter]
        self._vocabulary = vocabulary
        self._tokens: list[int] = []
        self._word_of: list[int | None] = []
        for index, word in enumerate(self.words):
            for part in parts[word]:
                try:
                    ids = vocabulary.encode(part)
                except ValueError:
                    _refuse(vocabulary, "".join(map("".join, parts.values())), word)
                    raise
                start = between if self._tokens else []
                self._tokens += start + ids
                self._word_of += [None] * len(start) + [index] * len(ids)

    @property
    def characters(self) -> int:
        """Number of tokens, those between words among them."""
        return len(self._tokens)

    def fits(self, frames: int) -> bool:
        """Whether so many frames can hold the text at all."""
        return frames >= frames_needed(self._tokens)

    def align(self, log_posteriors: NDArray[np.float32]) -> Hypothesis:
        """The text with the frames of its characters; see `sewcli.decoding.alignment.align`."""
        spans = align(log_posteriors, self._tokens, self._vocabulary.blank)
        tokens = tuple(
            Token(self._vocabulary.tokens[token], first, last, score, word)
            for token, word, (first, last, score) in zip(self._tokens, self._word_of, spans, strict=True)
            if word is not None
        )
        return Hypothesis(" ".join(self.words), tokens)


def _refuse(vocabulary: Vocabulary, text: str, word: str) -> None:
    """Raise ValueError, naming all characters of a text that the vocabulary lacks and a word with one."""
    try:
        vocabulary.encode(text)
    except ValueError as error:
        raise ValueError(f"{error} (in {word!r})") from error

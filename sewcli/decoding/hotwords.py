"""Words and phrases to prefer: read, folded to the vocabulary, and counted in what was decoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import UsageError


def read_hotwords(file: Path) -> list[str]:
    """The hotwords of a file, a word or phrase on each line; lines that begin with # are none.

    Raises:
        UsageError: it cannot be read, is not UTF-8, or holds none.
    """
    try:
        content = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"--hotwords-file {file}: it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--hotwords-file {file}: it is not UTF-8", hint="convert it, with iconv") from error
    lines = (" ".join(line.split()) for line in content.splitlines())
    words = [line for line in lines if line and not line.startswith("#")]
    if not words:
        raise UsageError(f"--hotwords-file {file}: it holds no words", hint="give a word or phrase a line")
    return words


def spellable(vocabulary: Vocabulary, words: Iterable[str]) -> tuple[str, ...]:
    """Words as the vocabulary spells them, each once.

    Raises:
        UsageError: one is empty, or the vocabulary has no token for characters of some; all are named.
    """
    folded = tuple(dict.fromkeys(map(vocabulary.spelled, words)))
    if not all(folded):
        raise UsageError("a hotword is empty", hint="look for a shell variable that is not set")
    bad = {word: sorted({c for c in word if c != " "} - vocabulary.text_tokens) for word in folded}
    bad = {word: lacking for word, lacking in bad.items() if lacking}
    if bad:
        lacking = sorted({character for characters in bad.values() for character in characters})
        raise UsageError(
            f"the model cannot spell the hotword{'s' if len(bad) > 1 else ''} "
            f"{', '.join(map(repr, bad))}: its vocabulary has no {' '.join(lacking)}",
            hint="spell it with the characters the model writes, numbers as words",
        )
    return folded


class RememberingScorer:
    """A pyctcdecode.HotwordScorer that remembers its answers.

    Beam search asks for the same text and the same beginning of a word at every frame, without hotwords too,
    and half of its time went into these answers. What is remembered is that of one search.

    Args:
        scorer: that answers.
    """

    def __init__(self, scorer: Any) -> None:
        self._scorer = scorer
        self._begun: dict[str, bool] = {}
        self._scores: dict[str, float] = {}
        self._partial: dict[str, float] = {}

    def __contains__(self, token: str) -> bool:
        """Whether a hotword begins so."""
        found = self._begun.get(token)
        if found is None:
            found = self._begun[token] = token in self._scorer
        return found

    def score(self, text: str) -> float:
        """What the hotwords of a text add."""
        found = self._scores.get(text)
        if found is None:
            found = self._scores[text] = self._scorer.score(text)
        return found

    def score_partial_token(self, token: str) -> float:
        """What a word that is not complete adds."""
        found = self._partial.get(token)
        if found is None:
            found = self._partial[token] = self._scorer.score_partial_token(token)
        return found


def found_in(text: str, hotwords: Sequence[str]) -> dict[str, int]:
    """How often each hotword is in a text, as whole words in its letter case; a phrase in one piece."""
    words = text.split()
    return {hotword: _occurrences(words, hotword.split()) for hotword in hotwords}


def _occurrences(words: list[str], phrase: list[str]) -> int:
    size = len(phrase)
    return sum(words[start : start + size] == phrase for start in range(len(words) - size + 1))

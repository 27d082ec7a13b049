"""What may be done to references and hypotheses before they are compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from sewcli.errors import UsageError

Normalizer = Callable[[str], str]

#: what is typed for an apostrophe: typographic, modifier letter, prime, grave and acute accent
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\u2032`\u00b4", "'"))
_INSIDE_A_WORD = re.compile(r"(?<=[^\W_])'(?=[^\W_])")


def normalizer(name: str) -> Normalizer:
    """The normaliser of a name: "none", "basic" or "whisper-en".

    Raises:
        UsageError: it needs a package that is not installed.
    """
    return {"none": lambda: unchanged, "basic": lambda: basic, "whisper-en": whisper_english}[name]()


def unchanged(text: str) -> str:
    """The text itself."""
    return text


def basic(text: str) -> str:
    """NFKC; punctuation and symbols become spaces, but for apostrophes inside words; single spaces."""
    # soft hyphens, joiners and marks of direction are no part of a word
    seen = "".join(character for character in text if unicodedata.category(character) != "Cf")
    plain = unicodedata.normalize("NFKC", seen.translate(_APOSTROPHES)).translate(_APOSTROPHES)
    inside = {match.start() for match in _INSIDE_A_WORD.finditer(plain)}
    kept = (
        " " if unicodedata.category(character)[0] in "PS" and place not in inside else character
        for place, character in enumerate(plain)
    )
    # NFKC makes a space and a mark of an accent that stands alone
    return " ".join(filter(None, map(_without_first_marks, "".join(kept).split())))


def _without_first_marks(word: str) -> str:
    """A word without combining marks that have no letter to stand on."""
    while word and unicodedata.category(word[0])[0] == "M":
        word = word[1:]
    return word


def whisper_english() -> Normalizer:
    """The English normaliser of Whisper (Radford et al. 2022, appendix C): contractions, numbers, spelling.

    Raises:
        UsageError: whisper-normalizer is not installed.
    """
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise UsageError(
            "--normalizer whisper-en needs whisper-normalizer, which is not installed",
            hint="pip install 'sewcli[whisper]'",
        ) from error
    normalize: Normalizer = EnglishTextNormalizer()
    return normalize

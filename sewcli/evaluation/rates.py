"""Edits between a reference and a hypothesis, in words and in characters, by jiwer."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

from sewcli.errors import UsageError

#: whose edits decide: words or characters
Metric = Literal["wer", "cer"]


@dataclass(frozen=True)
class Edits:
    """The fewest edits that make the hypothesis of the reference.

    Attributes:
        length: of the reference, in words or characters.
        substitutions, deletions, insertions: how many of each.
    """

    length: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def total(self) -> int:
        """All edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Edits over the length of the reference, which may exceed 1; None for an empty reference."""
        return self.total / self.length if self.length else None

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.length + other.length,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def require_jiwer() -> Any:
    """The module jiwer.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import jiwer
    except ImportError as error:
        raise UsageError(
            "error rates need jiwer, which is not installed", hint="pip install jiwer"
        ) from error
    return jiwer


def folded(text: str) -> str:
    """A text in upper case with single spaces: letter case is ignored, and so is the room between words.

    Letters with marks are composed (Unicode's NFC), as they are in training: some systems write them in two.
    """
    return " ".join(unicodedata.normalize("NFC", text.upper()).split())


def word_edits(reference: str, hypothesis: str) -> tuple[Edits, str]:
    """Edits in words between two folded texts, and the alignment as one line in the style of wdiff.

    `[-WORD-]` is deleted, `{+WORD+}` inserted, `[-WORD-]{+WORK+}` substituted; the others are right.
    """
    output = require_jiwer().process_words(reference, hypothesis)
    return _edits(output), _alignment(output)


def character_edits(reference: str, hypothesis: str) -> Edits:
    """Edits in characters, spaces between words included, between two folded texts."""
    return _edits(require_jiwer().process_characters(reference, hypothesis))


def _edits(output: Any) -> Edits:
    length = output.hits + output.substitutions + output.deletions
    return Edits(length, output.substitutions, output.deletions, output.insertions)


def _alignment(output: Any) -> str:
    reference, hypothesis = output.references[0], output.hypotheses[0]
    parts: list[str] = []
    for chunk in output.alignments[0]:
        said = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        heard = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        match chunk.type:
            case "equal":
                parts += said
            case "delete":
                parts += [f"[-{word}-]" for word in said]
            case "insert":
                parts += [f"{{+{word}+}}" for word in heard]
            case "substitute":
                parts += [f"[-{a}-]{{+{b}+}}" for a, b in zip(said, heard, strict=True)]
    return " ".join(parts)

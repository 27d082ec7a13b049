"""Error rates of transcripts and accuracy of classifications against a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sewcli.errors import UsageError


@dataclass(frozen=True)
class Scored:
    """One utterance: what was said or which label it has, what came out, and the set it belongs to."""

    reference: str
    hypothesis: str
    set: str


def error_rates(utterances: Sequence[Scored]) -> dict[str, Any]:
    """Word and character error rates, in all and by set.

    Letter case is ignored. The rates are fractions: edits over words (characters) of the references,
    of the corpus, not the mean over utterances.

    Returns:
        utterances, words, substitutions, deletions, insertions, wer, cer; and the same under `sets`.

    Raises:
        UsageError: jiwer is not installed.
    """
    return _by_set(utterances, _rates)


def accuracies(utterances: Sequence[Scored]) -> dict[str, Any]:
    """Share of right labels, in all and by set: utterances, correct, accuracy; the same under `sets`."""
    return _by_set(utterances, _accuracy)


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


def _by_set(utterances: Sequence[Scored], score: Any) -> dict[str, Any]:
    total: dict[str, Any] = score(utterances)
    names = sorted({utterance.set for utterance in utterances if utterance.set})
    total["sets"] = {name: score([item for item in utterances if item.set == name]) for name in names}
    return total


def _rates(utterances: Sequence[Scored]) -> dict[str, Any]:
    jiwer = require_jiwer()
    references = [utterance.reference.upper() for utterance in utterances]
    hypotheses = [utterance.hypothesis.upper() for utterance in utterances]
    words = jiwer.process_words(references, hypotheses)
    return {
        "utterances": len(utterances),
        "words": words.hits + words.substitutions + words.deletions,
        "substitutions": words.substitutions,
        "deletions": words.deletions,
        "insertions": words.insertions,
        "wer": words.wer,
        "cer": jiwer.process_characters(references, hypotheses).cer,
    }


def _accuracy(utterances: Sequence[Scored]) -> dict[str, Any]:
    correct = sum(utterance.reference == utterance.hypothesis for utterance in utterances)
    return {
        "utterances": len(utterances),
        "correct": correct,
        "accuracy": correct / len(utterances),
    }

"""Is one result better than another? A paired bootstrap over utterances.

Bisani and Ney, Bootstrap estimates for confidence intervals in ASR performance evaluation, ICASSP 2004:
utterances are drawn with replacement, as many as there are, again and again, and each time the error
rates of both results are taken on the utterances drawn. The spread of the differences gives the
interval, the share of draws in which B has the lower rate the probability of improvement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
#: numbers drawn at a time
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Comparison:
    """Two results on the same utterances.

    Attributes:
        utterances: how many there are.
        rate_a, rate_b: errors over the length of the references, as fractions.
        interval: of rate_b - rate_a, at `CONFIDENCE`.
        probability_of_improvement: that B has the lower rate.
        probability_of_tie: that both have the same.
    """

    utterances: int
    rate_a: float
    rate_b: float
    interval: tuple[float, float]
    probability_of_improvement: float
    probability_of_tie: float

    @property
    def difference(self) -> float:
        """rate_b - rate_a; negative where B is better."""
        return self.rate_b - self.rate_a

    def as_object(self) -> dict[str, Any]:
        """The comparison, for JSON."""
        return {
            "utterances": self.utterances,
            "rate_a": self.rate_a,
            "rate_b": self.rate_b,
            "difference": self.difference,
            "interval": list(self.interval),
            "probability_of_improvement": self.probability_of_improvement,
            "probability_of_tie": self.probability_of_tie,
        }


def compare(counts: NDArray[np.int64], *, resamples: int, seed: int) -> Comparison:
    """Compare two results.

    Args:
        counts: of each utterance the edits of A, those of B, and the words of its reference, shape (n, 3),
            n >= 1.
        resamples: how often utterances are drawn.
        seed: of the draws; the same seed gives the same figures.
    """
    total_a, total_b, length = counts.sum(axis=0).tolist()
    length = max(1, length)
    differences = _differences(counts, resamples, np.random.default_rng(seed))
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    better, tie = float(np.mean(differences < 0)), float(np.mean(differences == 0))
    return Comparison(len(counts), total_a / length, total_b / length, (low, high), better, tie)


def _differences(counts: NDArray[np.int64], resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """rate_b - rate_a of each draw, shape (resamples,)."""
    utterances = len(counts)
    at_once = max(1, _BLOCK // utterances)
    pieces = []
    for start in range(0, resamples, at_once):
        drawn = rng.integers(utterances, size=(min(at_once, resamples - start), utterances))
        errors_a, errors_b, lengths = (counts[:, column][drawn].sum(axis=1) for column in range(3))
        # a draw of nothing but empty references has no rate, and no difference either
        pieces.append((errors_b - errors_a) / np.maximum(lengths, 1))
    return np.concatenate(pieces)

"""How sure a rate is: 95 % intervals, from sums alone, so that nothing is kept of an utterance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sewcli.evaluation.rates import Edits

#: of the normal distribution, for 95 %
_Z = 1.959964


@dataclass
class RateInterval:
    """The interval of an error rate, edits over the length of the references, over utterances.

    The rate is a ratio of two sums over utterances, which are taken for independent draws; its variance is
    that of the ratio estimator (Cochran, Sampling Techniques, 1977, section 6.4): n / (n - 1) times the sum
    of the squares of edits - rate * length, over the square of all lengths.
    """

    count: int = 0
    squares: int = 0
    products: int = 0
    lengths: int = 0

    def add(self, edits: Edits) -> None:
        """Count an utterance."""
        self.count += 1
        self.squares += edits.total**2
        self.products += edits.total * edits.length
        self.lengths += edits.length**2

    def of(self, all_edits: Edits) -> list[float] | None:
        """Least and greatest rate; None without a reference, and where all utterances have one rate.

        Of these nothing can be told: the estimate is that of many utterances that differ.

        Args:
            all_edits: those of all utterances that were counted.
        """
        rate = all_edits.rate
        if self.count < 2 or rate is None:
            return None
        squares = self.squares - 2 * rate * self.products + rate**2 * self.lengths
        half = _Z * math.sqrt(max(0.0, squares) * self.count / (self.count - 1)) / all_edits.length
        # what is left of equal rates is rounding
        return [max(0.0, rate - half), rate + half] if half > 1e-6 else None


def share_interval(hits: int, total: int) -> list[float]:
    """The interval of a share of independent clips, by Wilson (JASA 1927), which holds near 0 and 1 too.

    Args:
        hits: how many.
        total: of how many, 1 or more.
    """
    share, square = hits / total, _Z**2
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = _Z * math.sqrt(share * (1 - share) / total + square / (4 * total**2)) / (1 + square / total)
    # at the ends exactly: what is left there is rounding
    return [middle - half if hits else 0.0, middle + half if hits < total else 1.0]

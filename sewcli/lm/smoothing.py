"""Modified Kneser-Ney smoothing with interpolation, and pruning by count.

Chen and Goodman 1998 (section 4.1, equations 26 and 27), as lmplz estimates it (Heafield et al. 2013,
section 3). With a(w_1..w_n) the count of the highest order, and below it the number of different words seen
in front (for n-grams that begin with <s>, which nothing precedes, the count again):

    D(k)        = k - (k + 1) Y t_{k+1} / t_k,  Y = t_1 / (t_1 + 2 t_2),  k = 1, 2, 3 and more
    u(w | h)    = (a(h w) - D(a(h w))) / sum over x of a(h x)
    b(h)        = (sum over x of D(a(h x))) / sum over x of a(h x)
    p(w | h)    = u(w | h) + b(h) p(w | h without its first word)
    p(w)        = u(w) + b / V

t_k is the number of n-grams with a = k, V the number of words that can follow: <unk> and </s> are among them,
<s> is not. An n-gram that is pruned gives all its mass to b(h), so that probabilities still sum to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sewcli.errors import UsageError
from sewcli.lm.counting import END_ID, Counts

#: D(1), D(2) and D(3) where a text is too small for them to be estimated, as lmplz falls back to
FALLBACK = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class Estimate:
    """The n-grams of one order, with what a model says of them.

    Attributes:
        counts: the n-grams.
        kept: which of them are in the model, (N,).
        probability: p(last word | prefix), (N,); that of pruned ones is not set.
        backoff: b of the n-gram as a history, (N,); 1 for those that nothing follows.
        discounts: D(1), D(2), D(3).
        fell_back: whether the discounts are those of FALLBACK.
    """

    counts: Counts
    kept: NDArray[np.bool_]
    probability: NDArray[np.float64]
    backoff: NDArray[np.float64]
    discounts: tuple[float, ...]
    fell_back: bool


def estimate(orders: Sequence[Counts], prune: Sequence[int]) -> list[Estimate]:
    """Probabilities and backoffs of all orders.

    Args:
        orders: the n-grams of the orders 1, 2, ...
        prune: for each order the count up to which n-grams are left out, 0 for none; the last counts for
            the orders that are left.

    Raises:
        UsageError: the thresholds are not numbers from 0 up that never fall: an n-gram is looked up by
            way of its parts, which must be there.
    """
    limits = thresholds(prune, len(orders))
    done: list[Estimate] = []
    for index, counts in enumerate(orders):
        adjusted = _adjusted(counts, orders[index + 1] if index + 1 < len(orders) else None)
        kept = counts.count > limits[index]
        if index == 0:
            kept[: END_ID + 1] = True
            adjusted = np.where(counts.begins, 0, adjusted)  # nothing predicts <s>
            # every word that can follow; <s> cannot
            lower = np.full(kept.size, 1.0 / (np.count_nonzero(kept) - 1))
            histories = 1
        else:
            lower = done[-1].probability[counts.suffix]
            histories = done[-1].kept.size
        discounts, fell_back = _discounts(adjusted)
        taken = np.array([0.0, *discounts])[np.minimum(adjusted, 3)]
        taken[~kept] = adjusted[~kept]
        total = np.bincount(counts.prefix, adjusted, histories)
        backoff = np.divide(
            np.bincount(counts.prefix, taken, histories), total, where=total > 0, out=np.ones(histories)
        )
        of_prefix = total[counts.prefix]
        share = np.divide(adjusted - taken, of_prefix, where=of_prefix > 0, out=np.zeros(kept.size))
        probability = share + backoff[counts.prefix] * lower
        if index == 0:
            probability[counts.begins] = 0.0
        else:
            done[-1] = replace(done[-1], backoff=backoff)
        done.append(Estimate(counts, kept, probability, np.ones(kept.size), discounts, fell_back))
    return done


def thresholds(prune: Sequence[int], order: int) -> list[int]:
    """The threshold of each order; see `estimate`."""
    given = list(prune) or [0]
    if len(given) > order:
        raise UsageError(f"--prune has {len(given)} thresholds for {order} orders")
    limits = given + [given[-1]] * (order - len(given))
    if min(limits) < 0 or limits != sorted(limits):
        raise UsageError(
            f"--prune {' '.join(map(str, given))}: thresholds are numbers from 0 up that never fall",
            hint="for example --prune '0 0 1'",
        )
    return limits


def _adjusted(counts: Counts, above: Counts | None) -> NDArray[np.int64]:
    """The counts a, (N,); those of single words where `counts` are these, <s> with the others."""
    if above is None:
        return counts.count
    preceded = np.bincount(above.suffix, minlength=counts.count.size)
    return np.where(counts.begins, counts.count, preceded)


def _discounts(adjusted: NDArray[np.int64]) -> tuple[tuple[float, ...], bool]:
    """D(1), D(2) and D(3), and whether they had to be those of FALLBACK."""
    t = np.bincount(np.minimum(adjusted, 5), minlength=6).astype(np.float64)
    if t[1:5].all():
        y = t[1] / (t[1] + 2 * t[2])
        found = tuple(float(k - (k + 1) * y * t[k + 1] / t[k]) for k in (1, 2, 3))
        if all(0 <= discount <= k for k, discount in enumerate(found, start=1)):
            return found, False
    return FALLBACK, True

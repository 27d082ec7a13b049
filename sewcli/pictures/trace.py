"""Probabilities of labels over time, kept in a bounded number of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_POINTS = 4096


@dataclass(frozen=True)
class Trace:
    """Probabilities of labels over time.

    Attributes:
        labels: one a column.
        times: seconds in the file, shape (n,).
        values: shape (n, labels).
        threshold: of hits.
    """

    labels: Sequence[str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    threshold: float


class TraceBuilder:
    """Takes the scores of windows; of each two neighbours the higher is kept when there are too many."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._values: list[NDArray[np.float64]] = []
        self._factor = 1
        self._seen = 0

    def push(self, time: float, values: NDArray[np.float64]) -> None:
        """Take in the scores at a time in seconds, shape (labels,)."""
        if self._seen % self._factor:
            self._values[-1] = np.maximum(self._values[-1], values)
        else:
            self._times.append(time)
            self._values.append(values)
        self._seen += 1
        if len(self._times) == 2 * _POINTS and self._seen % self._factor == 0:
            self._times = self._times[::2]
            pairs = zip(self._values[::2], self._values[1::2], strict=True)
            self._values = [np.maximum(one, other) for one, other in pairs]
            self._factor *= 2

    def finish(self, labels: Sequence[str], threshold: float) -> Trace:
        """All scores so far, at least those of one window."""
        return Trace(labels, np.array(self._times), np.array(self._values), threshold)

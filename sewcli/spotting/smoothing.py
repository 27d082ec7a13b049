"""Scores smoothed over neighbouring windows: a centred moving average, as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """What was heard in a window.

    Attributes:
        centre: of the window, or of those whose mean it is, in samples of the recording.
        values: a score for each label, shape (labels,), float64.
    """

    centre: float
    values: NDArray[np.float64]


class Smoother:
    """Gives each window the mean score of `width` windows around it, or of those of them that there are.

    An even width takes one window more from after than from before. The mean lies in the middle of what it
    is taken of: beside the window it is for with an even width, and at both ends.

    Args:
        width: how many windows, 1 or more.
    """

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError("a mean is over 1 window or more")
        self._before = (width - 1) // 2
        self._after = width // 2
        self._held: deque[Scores] = deque()
        #: how many of those held have been given already
        self._given = 0

    def push(self, scores: Scores) -> Iterator[Scores]:
        """The windows whose neighbours are all there now."""
        self._held.append(scores)
        if len(self._held) - self._given > self._after:
            yield self._next()

    def finish(self) -> Iterator[Scores]:
        """The windows at the end, which lack neighbours."""
        while self._given < len(self._held):
            yield self._next()

    def _next(self) -> Scores:
        last = min(self._given + self._after + 1, len(self._held))
        around = [self._held[index] for index in range(last)]
        centre = sum(one.centre for one in around) / len(around)
        smoothed = Scores(centre, np.mean([one.values for one in around], axis=0))
        self._given += 1
        if self._given > self._before:
            self._held.popleft()
            self._given -= 1
        return smoothed

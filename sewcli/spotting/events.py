"""Events: runs of windows in which a label scores at least a threshold.

A window is a hit of a label whose score reaches the threshold. Hits of one label that follow each other, or
with no more than `gap` between them, are one event. A window stands for the hop around its middle, so that an
event reaches from half a hop before the middle of its first hit to half a hop behind that of its last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sewcli.spotting.smoothing import Scores


@dataclass(frozen=True)
class Run:
    """An event in samples.

    Attributes:
        label: column of the scores.
        start, end: in samples of the recording.
        score: the highest of its hits.
    """

    label: int
    start: float
    end: float
    score: float


@dataclass
class _Open:
    first: float
    last: float
    score: float


class EventFinder:
    """Makes events of scores as they come; holds one open event a label.

    Args:
        labels: the columns that count.
        threshold: the least score of a hit.
        hop: samples from window to window.
        gap: samples without a hit that an event may hold.
    """

    def __init__(self, labels: Sequence[int], threshold: float, hop: int, gap: int) -> None:
        self._labels = tuple(labels)
        self._threshold = threshold
        self._hop = hop
        self._reach = hop + gap
        self._open: dict[int, _Open] = {}

    def push(self, scores: Scores) -> Iterator[Run]:
        """The events that have ended before this window, the one that began first in front."""
        over = [name for name, run in self._open.items() if scores.centre - run.last > self._reach]
        yield from self._close(over)
        for label in self._labels:
            score = float(scores.values[label])
            if score < self._threshold:
                continue
            run = self._open.setdefault(label, _Open(scores.centre, scores.centre, score))
            run.last, run.score = scores.centre, max(run.score, score)

    def finish(self, end: int) -> Iterator[Run]:
        """The events that last until the end, which is behind so many samples."""
        for run in self._close(list(self._open)):
            # the middle of a recording shorter than a hop is nearer to its end than half a hop
            yield replace(run, end=min(run.end, end))

    def _close(self, labels: Sequence[int]) -> Iterator[Run]:
        ended = [(self._open.pop(label), label) for label in labels]
        for run, label in sorted(ended, key=lambda pair: (pair[0].first, pair[1])):
            half = self._hop / 2
            yield Run(label, max(0.0, run.first - half), run.last + half, run.score)

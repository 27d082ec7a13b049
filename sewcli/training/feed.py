"""The batches of a run, made ahead of the network in a thread of their own.

Batch `number` of a run holds the same clips, changed in the same way, whoever makes it and whenever:
the order follows from (seed, pass), the changes from (seed, number).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.statistics import wave_statistics
from sewcli.chunking import SAMPLE_RATE, frame_count
from sewcli.prefetch import prefetched
from sewcli.training.augment import Augmentation, Samples
from sewcli.training.batches import Bucketing, endless, rounded_up
from sewcli.training.features import Features, feature_batch
from sewcli.training.recipe import Recipe

#: batches that wait at most
_AHEAD = 3


class Examples(Protocol):
    """The clips of a training set."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Samples of each clip, shape (clips,)."""

    def example(self, index: int, speed: float, rng: np.random.Generator) -> tuple[Samples, Any]:
        """Samples, shape (n,), and target of one clip, played `speed` times as fast."""

    def kept(self, index: int, rng: np.random.Generator) -> tuple[Features, Any] | None:
        """What the convolutions give of one clip, (frames, channels), and its target, where that is kept."""


class Feed:
    """Batches of a training set and their targets; the clips of a batch of samples have one speed.

    Args:
        recipe: sizes, seed and changes.
        examples: the clips.
        first, stride: this process takes the batches first, first + stride, first + 2 stride ...
    """

    def __init__(self, recipe: Recipe, examples: Examples, first: int = 0, stride: int = 1) -> None:
        self._recipe = recipe
        self._examples = examples
        self._first, self._stride = first, stride
        self._augmentation = Augmentation.load(recipe)

    def __iter__(self) -> Iterator[tuple[int, Batch, list[Any]]]:
        """(number, batch, targets) without end; an error while one is made is raised here."""
        made = ((number, *self._make(number, clips)) for number, clips in self._plan())
        return prefetched(made, _AHEAD)

    def _plan(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        recipe = self._recipe
        batch_samples = int(recipe.batch_seconds * SAMPLE_RATE)
        bucketing = Bucketing(batch_samples, recipe.pool_batches, recipe.shortest_first)
        plan = endless(self._examples.lengths, bucketing, recipe.seed, self._first)
        for number, (_, clips) in enumerate(plan, start=self._first):
            if (number - self._first) % self._stride == 0:
                yield number, clips

    def _make(self, number: int, clips: NDArray[np.int64]) -> tuple[Batch, list[Any]]:
        rng = np.random.default_rng([self._recipe.seed, 1, number])
        rows, features, targets = [], [], []
        # one for all: a clip played slowly would make the batch longer for those played fast
        speed = float(rng.choice(self._recipe.speeds))
        for clip in clips:
            if (kept := self._examples.kept(int(clip), rng)) is not None:
                feature, target = kept
                features.append(feature)
            else:
                samples, target = self._examples.example(int(clip), speed, rng)
                rows.append(self._augmentation.apply(samples, rng))
            targets.append(target)
        if features:
            return feature_batch(features), targets
        longest = rounded_up(max(frame_count(row.size) for row in rows))
        statistics = [wave_statistics(row) for row in rows]
        return make_batch(rows, statistics, normalize=True, least_frames=longest), targets

"""Which clips make up each update: length-bucketed batches, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bucketing:
    """How clips are put together.

    Attributes:
        batch_samples: padded samples a batch holds at most (a longer clip is a batch of its own).
        pool: clips are sorted by length within pools of this many batches. Large pools need little
            padding; small ones mix better where the length tells the label.
        shortest_first: the first pass goes from the shortest clip to the longest.
    """

    batch_samples: int
    pool: int = 40
    shortest_first: bool = False


def epoch_batches(
    lengths: NDArray[np.int64], bucketing: Bucketing, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Indices of the clips of each batch of one pass.

    Args:
        lengths: samples of each clip, shape (clips,).
        bucketing: how they are put together.
        seed, epoch: decide the order, different in every pass and repeatable.
    """
    batch_samples = bucketing.batch_samples
    by_length = bucketing.shortest_first and epoch == 0
    rng = np.random.default_rng([seed, epoch])
    order = np.argsort(lengths, kind="stable") if by_length else rng.permutation(lengths.size)
    per_pool = max(1, int(bucketing.pool * batch_samples / max(1.0, float(lengths.mean()))))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, order.size, per_pool):
        pool = order[start : start + per_pool]
        batches.extend(_pack(pool[np.argsort(lengths[pool], kind="stable")], lengths, batch_samples))
    if not by_length:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def _pack(
    clips: NDArray[np.int64], lengths: NDArray[np.int64], batch_samples: int
) -> Iterator[NDArray[np.int64]]:
    """Cut a sorted run of clips into batches; the last clip of a batch is its longest."""
    start = 0
    for end in range(1, clips.size + 1):
        if end == clips.size or lengths[clips[end]] * (end + 1 - start) > batch_samples:
            yield clips[start:end]
            start = end


def endless(
    lengths: NDArray[np.int64], bucketing: Bucketing, seed: int, start_step: int = 0
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(epoch, clips of a batch), pass after pass, from update `start_step` on."""
    epoch, skipped = 0, 0
    while True:
        batches = epoch_batches(lengths, bucketing, seed, epoch)
        for batch in batches[max(0, start_step - skipped) :]:
            yield epoch, batch
        skipped += len(batches)
        epoch += 1

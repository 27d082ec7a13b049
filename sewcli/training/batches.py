"""Which clips make up each update: length-bucketed batches, the same for the same seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import PAIR


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
    by_length = bucketing.shortest_first and epoch == 0
    rng = np.random.default_rng([seed, epoch])
    order = np.argsort(lengths, kind="stable") if by_length else rng.permutation(lengths.size)
    per_pool = max(1, int(bucketing.pool * bucketing.batch_samples / max(1.0, float(lengths.mean()))))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, order.size, per_pool):
        pool = order[start : start + per_pool]
        batches.extend(_pack(pool[np.argsort(lengths[pool], kind="stable")], lengths, bucketing))
    if not by_length:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def batches_in_order(lengths: NDArray[np.int64], batch_samples: int) -> list[NDArray[np.int64]]:
    """Indices of all clips, the shortest first, in batches of at most so many padded samples."""
    return _pack(np.argsort(lengths, kind="stable"), lengths, Bucketing(batch_samples))


def _pack(
    clips: NDArray[np.int64], lengths: NDArray[np.int64], bucketing: Bucketing
) -> list[NDArray[np.int64]]:
    """Cut a sorted run of clips into batches; the last clip of a batch is its longest.

    The longest come first, so that all batches but one are as large as their longest clip allows.
    """
    batches = []
    end = clips.size
    while end:
        start = max(0, end - max(1, bucketing.batch_samples // rounded_up(int(lengths[clips[end - 1]]))))
        batches.append(clips[start:end])
        end = start
    return batches[::-1]


def rounded_up(length: int) -> int:
    """The least of eight even lengths an octave that is not below `length`.

    oneDNN compiles every product and convolution for each size it has not met. On a processor with AMX a
    training on kept features took twice as long with batches of any length, and one whose convolutions learn
    1.15 times (59 and 68 x real time; part of that is the one speed of a batch, see `Feed`).
    """
    step = max(PAIR, 1 << max(0, length.bit_length() - 4))
    return -(-length // step) * step


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


def fingerprint(lengths: NDArray[np.int64], targets: Sequence[Any]) -> str:
    """SHA-256 of the lengths of clips, shape (clips,), and of what is to be learned of each (as JSON)."""
    digest = hashlib.sha256(np.ascontiguousarray(lengths).tobytes())
    digest.update(json.dumps(list(targets)).encode())
    return digest.hexdigest()

"""Which clips a run has learned from since its first update, whatever data it was resumed with."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

log = logging.getLogger("sewcli")


class History:
    """The clips of a run, each by a number that tells its samples (`AudioCache.digest`).

    Args:
        learned: the digests of what is learned from now.
        dev: of what weights are chosen by now.

    Attributes:
        earlier: how many clips the run has learned from that are not among those of now.
    """

    def __init__(self, learned: Iterable[bytes], dev: Iterable[bytes]) -> None:
        self._learned, self._dev = _numbers(learned), _numbers(dev)
        self.earlier = 0

    @property
    def learned(self) -> torch.Tensor:
        """The numbers of all clips learned from, for the checkpoint: (clips,), int64."""
        return torch.from_numpy(self._learned)

    @property
    def dev_learned(self) -> int:
        """How many clips of dev have been learned from, or are."""
        return int(np.isin(self._dev, self._learned).sum())

    def resume(self, before: torch.Tensor) -> None:
        """Take in what the run has learned from until now; what of that is in dev is told.

        Args:
            before: `learned` of its checkpoint.
        """
        known = before.numpy()
        now = self.dev_learned
        self.earlier = int((~np.isin(known, self._learned)).sum())
        self._learned = np.union1d(known, self._learned)
        if heard := self.dev_learned - now:
            log.warning(
                "%d of %d dev clips are among those the run has learned from: what is best on them need not "
                "be on others",
                *(heard, self._dev.size),
            )


def _numbers(digests: Iterable[bytes]) -> NDArray[np.int64]:
    """One for each clip, in order of size."""
    return np.sort(np.frombuffer(b"".join(set(digests)), np.int64))

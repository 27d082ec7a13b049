"""Windows over a stream of samples: arithmetic on whole samples, whatever the sizes of the blocks.

Windows of W samples begin at 0, H, 2H, ... as far as the samples reach. What the last of them leaves over is
covered by one more, which ends with the recording; a recording shorter than W is one window of its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """A stretch of a recording.

    Attributes:
        start: its first sample.
        samples: shape (n,), float32.
    """

    start: int
    samples: NDArray[np.float32]

    @property
    def centre(self) -> float:
        """Its middle, in samples."""
        return self.start + self.samples.size / 2


class Windower:
    """Cuts blocks of samples into windows; holds one window and one block at the most.

    Args:
        window: samples of a window.
        hop: samples from one to the next, no more than `window`.
    """

    def __init__(self, window: int, hop: int) -> None:
        if not 0 < hop <= window:
            raise ValueError("a hop is at least one sample and no longer than a window")
        self._window = window
        self._hop = hop
        self._held = np.zeros(0, dtype=np.float32)
        #: of the first sample held, in the recording
        self._start = 0
        #: where the next window begins, and the end of the one before
        self._next = 0
        self._covered = 0

    def push(self, block: NDArray[np.float32]) -> Iterator[Window]:
        """The windows that are complete with the next samples, shape (n,)."""
        held = np.concatenate([self._held, block])
        start, end = self._start, self._start + held.size
        while self._next + self._window <= end:
            first = self._next - start
            yield Window(self._next, held[first : first + self._window].copy())
            self._covered = self._next + self._window
            self._next += self._hop
        # kept: what the next window needs, and as many samples as the last window of the recording has
        keep = max(start, min(self._next, end - self._window))
        self._held, self._start = held[keep - start :].copy(), keep

    def finish(self) -> Iterator[Window]:
        """The window that ends with the recording, unless there is one already."""
        end = self._start + self._held.size
        if end > self._covered:
            first = max(self._start, end - self._window)
            yield Window(first, self._held[first - self._start :])

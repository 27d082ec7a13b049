"""A recording made small enough to be drawn: envelope and mel spectrogram in a bounded number of columns.

Both are taken block by block. A column begins as 10 ms; whenever there are too many, each two neighbours
become one, so that what is held does not grow with the recording, whose length need not be known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import SAMPLE_RATE

#: samples of the narrowest column, and columns at the most, twice this
HOP = 160
COLUMNS = 4096
_FFT = 512
_MELS = 64
#: what is this far below the loudest is drawn as silence (dB)
_RANGE = 70.0


@dataclass(frozen=True)
class Overview:
    """What is drawn of the sound.

    Attributes:
        seconds: of the recording.
        low, high: envelope, shape (columns,).
        mel: power of 64 mel bands in dB, shape (64, columns).
        step: seconds of a column.
    """

    seconds: float
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mel: NDArray[np.float32]
    step: float


class OverviewBuilder:
    """Takes the samples of a recording at 16 kHz, in blocks of any sizes."""

    def __init__(self) -> None:
        import librosa

        self._bands = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=_FFT, n_mels=_MELS)  # type: ignore[attr-defined]
        self._window = np.hanning(_FFT).astype(np.float32)
        self._samples = 0
        self._held = np.zeros(0, dtype=np.float32)
        self._factor = 1
        self._columns = np.zeros((2 * COLUMNS, 2 + _MELS), dtype=np.float32)
        self._count = 0
        #: narrow columns that make no whole one yet
        self._narrow = np.zeros((0, 2 + _MELS), dtype=np.float32)

    def push(self, block: NDArray[np.float32]) -> None:
        """Take in the next samples, shape (n,)."""
        self._samples += block.size
        self._held = np.concatenate([self._held, block])
        self._take((self._held.size - _FFT) // HOP + 1)

    def finish(self) -> Overview:
        """What is drawn of all samples so far, at least one."""
        left = -(-self._held.size // HOP)
        self._held = np.pad(self._held, (0, _FFT))
        self._take(left)
        columns = self._columns[: self._count]
        if len(self._narrow):
            columns = np.concatenate([columns, _joined(self._narrow[None])])
        decibels = 10 * np.log10(np.maximum(columns[:, 2:].T, 1e-10))
        return Overview(
            self._samples / SAMPLE_RATE,
            columns[:, 0].copy(),
            columns[:, 1].copy(),
            np.maximum(decibels, decibels.max() - _RANGE).astype(np.float32),
            self._factor * HOP / SAMPLE_RATE,
        )

    def _take(self, count: int) -> None:
        """Make narrow columns of the first samples held."""
        if count < 1:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._held, _FFT)[::HOP][:count]
        power = np.abs(np.fft.rfft(frames * self._window, axis=1)) ** 2
        hops = self._held[: count * HOP].reshape(count, HOP)
        made = np.column_stack([hops.min(axis=1), hops.max(axis=1), power @ self._bands.T]).astype(np.float32)
        self._held = self._held[count * HOP :].copy()
        self._narrow = np.concatenate([self._narrow, made])
        while whole := min(len(self._narrow) // self._factor, 2 * COLUMNS - self._count):
            part = self._narrow[: whole * self._factor].reshape(whole, self._factor, -1)
            self._columns[self._count : self._count + whole] = _joined(part)
            self._count += whole
            self._narrow = self._narrow[whole * self._factor :]
            if self._count == 2 * COLUMNS:
                self._columns[:COLUMNS] = _joined(self._columns.reshape(COLUMNS, 2, -1))
                self._count, self._factor = COLUMNS, 2 * self._factor


def _joined(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Groups of columns, shape (groups, size, values), each as one: shape (groups, values)."""
    low, high = columns[:, :, 0].min(axis=1), columns[:, :, 1].max(axis=1)
    joined: NDArray[np.float32] = np.column_stack([low, high, columns[:, :, 2:].mean(axis=1)])
    return joined

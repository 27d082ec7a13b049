"""What the front end must know of a whole utterance before the first chunk of it can run.

Two steps of a SEW model look at the whole utterance: the waveform is brought to zero mean and unit
variance, and the group norm after the first convolution (one group a channel) takes its mean and
variance over time. Both follow from moments of the raw samples. With x_t the t-th window of
`kernel` samples (10, every 5 samples), m and C their mean and covariance, a channel with weights w
has

    mean = w . m        variance = w' C w

before the norm. So one cheap pass over the samples, whose result is independent of the weights,
makes every chunk and every padded batch equal to the utterance run whole and alone. The sums are
taken in float64, and so are mean and variance of the channels: in float32 the sums cost three digits of the
logits, and under a hum of 50 Hz, 40 dB over the speech, w' C w two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: kernel and stride, in samples, of the first convolution of every published model
WINDOW = 10
WINDOW_STRIDE = WINDOW // 2
#: added to the variance of the waveform, as Wav2Vec2FeatureExtractor does
VARIANCE_FLOOR = 1e-7
#: samples taken at a time: their float64 stays in the cache, and is not given back to the system each time
_PART = 1 << 14
#: summed at a time: OpenBLAS shares longer sums among its threads, and their number, that of the cores, would
#: tell in the last digits
_SUM = _PART // 2


@dataclass(frozen=True)
class WaveStatistics:
    """Moments of one utterance (population moments, float64).

    Attributes:
        samples: how many samples they were taken over.
        mean, variance: of the samples.
        window_mean: mean of the windows, shape (kernel,).
        window_covariance: covariance of the windows, shape (kernel, kernel).
    """

    samples: int
    mean: float
    variance: float
    window_mean: NDArray[np.float64]
    window_covariance: NDArray[np.float64]

    @property
    def scale(self) -> float:
        """The factor that brings the waveform to unit variance."""
        return float(1.0 / np.sqrt(self.variance + VARIANCE_FLOOR))


class StatisticsAccumulator:
    """Takes the moments of an utterance block by block, in memory that does not grow."""

    def __init__(self) -> None:
        self._samples = 0
        # near the mean: squares of a loud constant would leave few digits for the rest
        self._pivot: float | None = None
        self._sum = 0.0
        self._square = 0.0
        self._windows = 0
        self._window_sum = np.zeros(WINDOW)
        self._window_square = np.zeros((WINDOW, WINDOW))
        self._rest = np.zeros(0)

    def update(self, block: NDArray[np.float32]) -> None:
        """Take in the next samples, shape (n,)."""
        for start in range(0, block.size, _PART):
            self._update(block[start : start + _PART].astype(np.float64))

    def _update(self, part: NDArray[np.float64]) -> None:
        if self._pivot is None:
            self._pivot = float(part.mean())
        part -= self._pivot
        self._samples += part.size
        self._sum += float(part.sum())
        for start in range(0, part.size, _SUM):
            some = part[start : start + _SUM]
            self._square += float(some @ some)
        part = np.concatenate([self._rest, part])
        if part.size < WINDOW:
            self._rest = part
            return
        # a window of 10 samples is two consecutive steps of 5, so its second moments are four blocks of
        # products of steps: a fifth of the cost of multiplying windows copied out of each other's overlap.
        # numpy takes 3 times as long for A'A without the copy, and 5 times for column sums without the ones
        count = (part.size - WINDOW) // WINDOW_STRIDE + 1
        steps = part[: (count + 1) * WINDOW_STRIDE].reshape(count + 1, WINDOW_STRIDE)
        first, second = steps[:-1], steps[1:]
        same, across = first.T @ first.copy(), first.T @ second
        moved: NDArray[np.float64] = same + np.outer(steps[-1], steps[-1]) - np.outer(steps[0], steps[0])
        half = len(steps) // 2
        total = np.ones(half) @ steps[:half] + np.ones(count + 1 - half) @ steps[half:]
        self._windows += count
        self._window_sum += np.concatenate([total - steps[-1], total - steps[0]])
        self._window_square += np.block([[same, across], [across.T, moved]])
        self._rest = part[count * WINDOW_STRIDE :].copy()

    def finish(self) -> WaveStatistics:
        """The moments of all samples so far; at least one window must have been seen."""
        assert self._pivot is not None  # there was a window
        mean = self._sum / self._samples
        window_mean = self._window_sum / self._windows
        covariance = self._window_square / self._windows - np.outer(window_mean, window_mean)
        variance = max(self._square / self._samples - mean * mean, 0.0)
        return WaveStatistics(
            self._samples, mean + self._pivot, variance, window_mean + self._pivot, covariance
        )


def wave_statistics(samples: NDArray[np.float32]) -> WaveStatistics:
    """Moments of one utterance held in memory, shape (n,)."""
    accumulator = StatisticsAccumulator()
    accumulator.update(samples)
    return accumulator.finish()

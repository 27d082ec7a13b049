"""A padded batch of utterances or chunks, with all that makes its rows independent of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.statistics import WaveStatistics
from sewcli.chunking import PAIR, frame_count, samples_for_frames


class Empty(Protocol):
    """Makes a tensor in the memory of the host, as torch.empty does."""

    def __call__(self, shape: tuple[int, ...], /, *, dtype: torch.dtype) -> torch.Tensor:
        """A tensor of that shape."""


@dataclass(frozen=True)
class Batch:
    """Rows of normalised samples, zero-padded, and their lengths and moments.

    Attributes:
        samples: (B, n) float32; n gives an even number of frames.
        frames: (B,) int64, frames of each row, the odd last one counted.
        frame_counts: the same, on the host: reading them from a GPU would wait for it.
        window_mean: (B, kernel) float64, of the normalised waveform.
        window_covariance: (B, kernel, kernel) float64, likewise: under hum or rumble most filters cancel
            nearly all of it, and float32 would leave few digits of the rest. On mps, which has no float64,
            both are float32.
        features: (B, channels, frames), what the convolutions give, where it is known; samples and moments
            are empty then. For training alone.
    """

    samples: torch.Tensor
    frames: torch.Tensor
    frame_counts: tuple[int, ...]
    window_mean: torch.Tensor
    window_covariance: torch.Tensor
    features: torch.Tensor | None = None

    def to(
        self, device: torch.device, dtype: torch.dtype = torch.float32, *, non_blocking: bool = False
    ) -> Batch:
        """The same batch on another device.

        Args:
            device: where to.
            dtype: of the samples; the moments keep theirs.
            non_blocking: return before it is there. For pinned batches and CUDA alone: other devices may read
                memory that has been given back meanwhile.
        """
        exact = torch.float32 if device.type == "mps" else self.window_mean.dtype
        return Batch(
            self.samples.to(device, dtype, non_blocking=non_blocking),
            self.frames.to(device, non_blocking=non_blocking),
            self.frame_counts,
            self.window_mean.to(device, exact, non_blocking=non_blocking),
            self.window_covariance.to(device, exact, non_blocking=non_blocking),
            None if self.features is None else self.features.to(device, non_blocking=non_blocking),
        )


def frame_mask(frames: torch.Tensor, width: int) -> torch.Tensor:
    """Which of `width` frames (states, columns) belong to each row: (B, width), bool.

    Args:
        frames: of each row, (B,).
        width: of the batch.
    """
    return torch.arange(width, device=frames.device) < frames[:, None]


def norm_of_moments(
    mean: torch.Tensor,
    covariance: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    gain: torch.Tensor,
    offset: torch.Tensor,
    epsilon: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The group norm after the first convolution as a scale and a shift of its output, (B, channels) each.

    The mean w.m and variance w'Cw of a channel follow from the moments of the windows;
    torch.nn.GroupNorm, with a group for each channel, computes the same over the output itself.

    Args:
        mean, covariance: `Batch.window_mean` and `Batch.window_covariance`.
        weight, bias: of the convolution, (channels, kernel) and (channels,) or None.
        gain, offset: weight and bias of the norm, (channels,).
        epsilon: of the norm.
    """
    weight = weight.to(mean.dtype)
    mean = mean @ weight.T
    if bias is not None:
        mean = mean + bias
    variance = torch.einsum("ck,bkl,cl->bc", weight, covariance, weight)
    scale = gain * torch.rsqrt(variance.clamp(min=0.0) + epsilon)
    return scale, offset - mean * scale


def make_batch(
    rows: Sequence[NDArray[np.float32]],
    statistics: Sequence[WaveStatistics],
    *,
    normalize: bool,
    least_frames: int = PAIR,
    empty: Empty = torch.empty,
) -> Batch:
    """Pad raw waveforms to one batch.

    Args:
        rows: samples of each row, shape (n_i,); more than one dimension is refused (ValueError),
            because channels would pass for clips.
        statistics: of the utterance each row belongs to (the row itself, or the whole file).
        normalize: bring each row to zero mean and unit variance by its statistics.
        least_frames: how wide the batch is at least; an even number.
        empty: makes the tensors of a shape and a dtype, with any values in them.
    """
    if any(row.ndim != 1 for row in rows):
        raise ValueError("a row is one channel: mix channels down before they become a batch")
    frames = [frame_count(row.size) for row in rows]
    longest = max(max(frames) + max(frames) % PAIR, least_frames)
    # a row may carry samples past its last full frame; they belong to no frame and are left out
    width = samples_for_frames(longest)
    samples = empty((len(rows), width), dtype=torch.float32)
    means, covariances = [], []
    # by numpy: in a thread of its own torch would start a second team of OpenMP, and with more threads than
    # cores every operation of the network waits longer for its own
    for line, row, moments in zip(samples.numpy(), rows, statistics, strict=True):
        mean, scale = (moments.mean, moments.scale) if normalize else (0.0, 1.0)
        used, padding = line[: row.size], line[row.size :]
        np.subtract(row[: used.size], np.float32(mean), out=used)
        used *= np.float32(scale)
        padding.fill(0.0)
        means.append((moments.window_mean - mean) * scale)
        covariances.append(moments.window_covariance * scale**2)

    def tensor(values: NDArray[Any], dtype: torch.dtype) -> torch.Tensor:
        made = empty(values.shape, dtype=dtype)
        made.numpy()[...] = values
        return made

    return Batch(
        samples,
        tensor(np.array(frames), torch.int64),
        tuple(frames),
        tensor(np.stack(means), torch.float64),
        tensor(np.stack(covariances), torch.float64),
    )

"""Samples in memory as a source: mixed, resampled and checked as those of files are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from sewcli.audio.dsp import Block, block_frames, part
from sewcli.audio.native import NativeAudio
from sewcli.errors import UsageError
from sewcli.inputs.source import Source

#: what results and messages call it
ARRAY = "<array>"
_MOST_CHANNELS = 256


@dataclass(frozen=True)
class ArraySource(Source):
    """Samples in memory.

    Attributes:
        samples: float32 of shape (frames, channels).
        rate: frames a second.
    """

    samples: Block = field(default_factory=lambda: np.zeros((0, 1), np.float32), compare=False, repr=False)
    rate: int = 0

    def native(self) -> NativeAudio:
        """The part of the samples that the source names."""
        channels = self.samples.shape[1]
        blocks = part(self._blocks(), self.rate, self.offset, self.duration)
        return NativeAudio(self.rate, channels, len(self.samples), blocks, librosa_reads_it=False)

    def _blocks(self) -> Iterator[Block]:
        size = block_frames(max(1, self.rate), self.samples.shape[1])
        for start in range(0, len(self.samples), size):
            yield self.samples[start : start + size]


def array_source(samples: ArrayLike, rate: int | None) -> ArraySource:
    """The source of an array.

    Args:
        samples: shape (frames,) or (frames, channels), as soundfile.read gives them; floats of full scale 1
            or signed integers of 16 or 32 bits.
        rate: frames a second.

    Raises:
        UsageError: there is no rate, or none in whole Hz, or an array of this shape or type holds no audio.
    """
    if rate is None:
        raise UsageError("an array needs its sample rate", hint="give sample_rate")
    try:
        is_whole = math.isfinite(rate) and rate == int(rate)
    except (TypeError, OverflowError):
        is_whole = False
    if not is_whole:
        raise UsageError(f"sample rate {rate!r}: a whole number of Hz is needed")
    try:
        given = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:  # the last of a tensor that learns
        raise UsageError(f"{type(samples).__name__}: no audio: {error}", hint="give an array") from error
    if given.ndim not in (1, 2) or (given.ndim == 2 and not 0 < given.shape[1] <= _MOST_CHANNELS):
        raise UsageError(
            f"an array of shape {given.shape} is no audio",
            hint="give (samples,) or (samples, channels); transpose what librosa or torchaudio loads",
        )
    if given.dtype.newbyteorder("=") in (np.int16, np.int32):
        # multiplied by a power of two: exact for 16 bits
        scaled = given.astype(np.float32) * np.float32(2.0 ** (1 - 8 * given.dtype.itemsize))
    elif np.issubdtype(given.dtype, np.floating):
        scaled = given.astype(np.float32)
    else:
        raise UsageError(
            f"an array of {given.dtype} is no audio", hint="give floats of full scale 1, int16 or int32"
        )
    frames = scaled[:, None] if scaled.ndim == 1 else scaled
    return ArraySource(ARRAY, Path(ARRAY), samples=frames, rate=int(rate))

"""Changes to a clip that leave its transcript true: speed and background noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sewcli.audio import read_blocks
from sewcli.errors import UsageError
from sewcli.sources import Source

Samples = NDArray[np.float32]


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play a clip `factor` times as fast; pitch changes along."""
    import soxr

    if factor == 1.0:
        return samples
    # the lowest quality band-limits at 80 % of the new band, which is variation too
    changed: Samples = soxr.resample(samples, factor, 1.0, quality="LQ")
    return changed


def load_noise(directory: Path | None) -> list[Samples]:
    """All noise recordings (files named noise-*) of a directory, in memory.

    Raises:
        UsageError: the directory holds none.
    """
    if directory is None:
        return []
    files = sorted(directory.glob("noise-*"))
    if not files:
        raise UsageError(f"{directory} holds no noise recordings (files named noise-*)")
    return [np.concatenate(list(read_blocks(Source(str(file), file)))) for file in files]


def cut(samples: Samples, length: int, rng: np.random.Generator) -> Samples:
    """A random stretch of `length` samples, repeated from the start where the recording is shorter."""
    if samples.size < length:
        samples = np.tile(samples, -(-length // samples.size))
    start = int(rng.integers(samples.size - length + 1))
    return samples[start : start + length]


def add_noise(samples: Samples, noise: Samples, snr: float) -> Samples:
    """Mix noise of the same length in, `snr` dB below the clip."""
    power = float(np.mean(samples**2)) + 1e-10
    noise_power = float(np.mean(noise**2)) + 1e-10
    return samples + noise * np.float32(np.sqrt(power / noise_power / 10 ** (snr / 10)))

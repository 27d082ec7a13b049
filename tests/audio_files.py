"""Recordings written for the tests of reading, and what reading them gives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from sewcli.audio import read_blocks
from sewcli.errors import AudioError
from sewcli.inputs.source import Source

Samples = npt.NDArray[np.float32]


posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


def signal(rate: int, channels: int, seconds: float = 1.3) -> Samples:
    """Tones and noise, other ones in every channel."""
    time = np.arange(int(rate * seconds))[:, None] / rate
    tones = 0.3 * np.sin(2 * np.pi * 220 * (1 + np.arange(channels)) * time)
    noise = np.random.default_rng(rate + channels).standard_normal((len(time), channels))
    return (tones + 0.1 * noise).astype(np.float32)


def written(
    file: Path, rate: int = 16_000, channels: int = 1, subtype: str | None = None, seconds: float = 1.3
) -> Path:
    # OGG defaults to Vorbis
    extension = {"opus": "OGG", "oga": "OGG"}.get(file.suffix[1:], file.suffix[1:].upper())
    samples = np.clip(signal(rate, channels, seconds), -1, 1)
    soundfile.write(file, samples, rate, format=extension, subtype=subtype)
    return file


def read(file: Path, **options: object) -> Samples:
    blocks = list(read_blocks(Source(str(file), file), **options))  # type: ignore[arg-type]
    assert all(block.dtype == np.float32 and block.ndim == 1 for block in blocks)
    return np.concatenate(blocks)


def failure(source: Source | Path, **options: object) -> AudioError:
    if isinstance(source, Path):
        source = Source(str(source), source)
    with pytest.raises(AudioError) as caught:
        list(read_blocks(source, **options))  # type: ignore[arg-type]
    error = caught.value
    assert error.hint
    assert "\n" not in str(error)
    return error

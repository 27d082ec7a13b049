"""Changes to a clip that leave its transcript true: speed, rooms, microphones, noise, the telephone band."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sewcli.audio import read_blocks
from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import UsageError
from sewcli.inputs.formats import AUDIO_EXTENSIONS
from sewcli.inputs.source import Source
from sewcli.training.recipe import Recipe

Samples = NDArray[np.float32]

#: sample rate of a telephone line
NARROW_RATE = 8000
#: a random response: points of the mel scale between which its gain is interpolated, and their deviation
_RESPONSE_POINTS, _RESPONSE_DB = 10, 5.0
#: a band that is taken out: how often, its width as a part of the mel scale, and by how much
_STOP_SHARE, _STOP_WIDTH, _STOP_DB = 0.5, (0.05, 0.2), 40.0


@dataclass(frozen=True)
class Augmentation:
    """The changes a recipe asks for, with the recordings they need."""

    recipe: Recipe
    noises: list[Samples]
    rooms: list[Samples]

    @classmethod
    def load(cls, recipe: Recipe) -> Augmentation:
        """Read the recordings.

        Raises:
            UsageError: the recipe asks for noise or rooms and `noise` holds none.
        """
        noises = load_noise(recipe.noise) if recipe.noise_probability else []
        rooms = load_rooms(recipe) if recipe.room_probability else []
        return cls(recipe, noises, rooms)

    def apply(self, samples: Samples, rng: np.random.Generator) -> Samples:
        """Change one clip at random; its length stays."""
        recipe = self.recipe
        if self.rooms and rng.random() < recipe.room_probability:
            samples = add_room(samples, self.rooms[int(rng.integers(len(self.rooms)))])
        if recipe.response_probability and rng.random() < recipe.response_probability:
            samples = change_response(samples, rng)
        if self.noises and rng.random() < recipe.noise_probability:
            noise = cut(self.noises[int(rng.integers(len(self.noises)))], samples.size, rng)
            samples = add_noise(samples, noise, float(rng.uniform(*recipe.noise_snr)))
        if recipe.band_probability and rng.random() < recipe.band_probability:
            samples = limit_band(samples)
        return samples


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play a clip `factor` times as fast; pitch changes along."""
    import soxr

    if factor == 1.0:
        return samples
    # the lowest quality band-limits at 80 % of the new band, which is variation too
    changed: Samples = soxr.resample(samples, factor, 1.0, quality="LQ")
    return changed


def recordings_of(recipe: Recipe) -> list[Path]:
    """The files of noise and of rooms that the recipe uses."""
    noises = noise_files(recipe.noise) if recipe.noise_probability and recipe.noise else []
    return [*noises, *(room_files(recipe) if recipe.room_probability else [])]


def check_recordings(recipe: Recipe) -> None:
    """Refuse a recipe whose noise or rooms are not there (UsageError), before anything is decoded."""
    if recipe.noise_probability:
        if recipe.noise is None:
            raise UsageError("noise_probability is set, but no directory of noise recordings (noise)")
        noise_files(recipe.noise)
    if recipe.room_probability:
        room_files(recipe)


def load_noise(directory: Path | None) -> list[Samples]:
    """All noise recordings of a directory, in memory.

    Raises:
        UsageError: the directory holds none.
    """
    if directory is None:
        return []
    return _recordings(tuple((file, file.stat().st_mtime_ns) for file in noise_files(directory)))


@lru_cache(maxsize=1)
def _recordings(files: tuple[tuple[Path, int], ...]) -> list[Samples]:
    """One copy of them, of what may be hours: clips, features and `_silence_` all ask for it."""
    return [_read(file) for file, _ in files]


def load_rooms(recipe: Recipe) -> list[Samples]:
    """All room responses of a recipe, each from its direct sound on.

    Raises:
        UsageError: there are none.
    """
    rooms = [_read(file) for file in room_files(recipe)]
    return [room[int(np.abs(room).argmax()) :] for room in rooms]


def noise_files(directory: Path) -> list[Path]:
    """The noise recordings of a directory: all audio but rir-* (UsageError where it holds none)."""
    files = [file for file in _audio(directory) if not _is_response(file)]
    if not files:
        raise UsageError(f"{directory} holds no noise recordings (audio files, but for rir-*)")
    return files


def room_files(recipe: Recipe) -> list[Path]:
    """The room responses of a recipe (UsageError where there are none)."""
    if recipe.rooms is not None:
        files = _audio(recipe.rooms)
    elif recipe.noise is not None:
        files = [file for file in _audio(recipe.noise) if _is_response(file)]
    else:
        raise UsageError("room_probability is set, but no directory of room responses (rooms)")
    if not files:
        where = recipe.rooms or f"{recipe.noise} (rir-*)"
        raise UsageError(f"there are no room responses in {where}", hint="set rooms to a directory of them")
    return files


def _audio(directory: Path) -> list[Path]:
    return sorted(file for file in directory.rglob("*") if file.suffix[1:].lower() in AUDIO_EXTENSIONS)


def _is_response(file: Path) -> bool:
    return file.name.startswith("rir-")


def _read(file: Path) -> Samples:
    return np.concatenate(list(read_blocks(Source(str(file), file))))


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


def add_room(samples: Samples, response: Samples) -> Samples:
    """The clip as heard in a room: convolved with its response, same length and power."""
    from scipy.signal import fftconvolve

    heard = fftconvolve(samples, response)[: samples.size].astype(np.float32)
    return _as_loud(heard, samples)


def change_response(samples: Samples, rng: np.random.Generator) -> Samples:
    """The clip as another microphone hears it: a smooth random gain over frequency, same length and power.

    Half of the time a band is taken out besides, as SpecAugment does with channels of a spectrogram.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(samples.size, real=True)
    spectrum = rfft(samples, size)
    # 0 ... 1, even on the mel scale
    pitch = np.log1p(np.linspace(0, SAMPLE_RATE / 2, spectrum.size) / 700) / np.log1p(SAMPLE_RATE / 2 / 700)
    decibels = rng.normal(0, _RESPONSE_DB, _RESPONSE_POINTS)
    gain = np.interp(pitch, np.linspace(0, 1, _RESPONSE_POINTS), decibels)
    if rng.random() < _STOP_SHARE:
        width = rng.uniform(*_STOP_WIDTH)
        start = rng.uniform(0, 1 - width)
        gain[(pitch >= start) & (pitch < start + width)] -= _STOP_DB
    heard = irfft(spectrum * (10 ** (gain / 20)).astype(np.float32), size)[: samples.size]
    return _as_loud(heard, samples)


def _as_loud(heard: Samples, samples: Samples) -> Samples:
    """What is heard of a clip, with the power of the clip."""
    power, heard_power = float(np.mean(samples**2)), float(np.mean(heard**2)) + 1e-20
    changed: Samples = heard * np.float32(np.sqrt(power / heard_power))
    return changed


def limit_band(samples: Samples) -> Samples:
    """The clip as a telephone line carries it: nothing above 4 kHz, same length."""
    import soxr

    narrow = soxr.resample(samples, SAMPLE_RATE, NARROW_RATE)
    wide: Samples = soxr.resample(narrow, NARROW_RATE, SAMPLE_RATE)
    return wide[: samples.size] if wide.size >= samples.size else np.pad(wide, (0, samples.size - wide.size))

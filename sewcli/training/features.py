"""What frozen convolutions give of every clip, computed once.

Where the feature encoder does not learn, its output for a clip, changed or not, need not be computed in
every pass. Some changed versions of each clip are kept (speed, room, response, noise, band as the recipe has
them), of which every pass takes one at random, at a tempo of its own.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.forward import Model, base_model, convolutions
from sewcli.acoustic.load import load_convolutions
from sewcli.acoustic.statistics import wave_statistics
from sewcli.atomic import write_whole
from sewcli.chunking import PAIR, SAMPLE_RATE, frame_count
from sewcli.errors import UsageError
from sewcli.training.augment import Augmentation, change_speed, recordings_of
from sewcli.training.batches import rounded_up
from sewcli.training.cache import AudioCache
from sewcli.training.recipe import Recipe

log = logging.getLogger("sewcli")

Features = NDArray[np.float16]
#: samples of a version of a clip
Versions = Callable[[int, int], NDArray[np.float32]]

#: clips that wait for their turn to be written, at most
_AHEAD = 64
_CHANGES = (
    "speeds",
    "noise_probability",
    "noise_snr",
    "room_probability",
    "response_probability",
    "band_probability",
)


class FeatureCache:
    """The output of the convolutions for many clips, mapped from one file of 16-bit floats a version.

    Args:
        values: of all clips, one after another, shape (sum of frames, channels), by version.
        frames: of each clip, shape (clips,), by version; 0 where a clip has fewer versions, or none.
    """

    def __init__(self, values: Sequence[Features], frames: Sequence[NDArray[np.int64]]) -> None:
        self._values = list(values)
        self._starts = [np.concatenate([[0], np.cumsum(counts)]) for counts in frames]
        self._versions = np.stack([counts > 0 for counts in frames]).sum(axis=0)

    def clip(self, index: int, rng: np.random.Generator) -> Features:
        """One version of one clip: (frames, channels)."""
        version = int(rng.integers(self._versions[index]))
        starts = self._starts[version]
        return self._values[version][starts[index] : starts[index + 1]]

    @classmethod
    def build(
        cls,
        model: Model,
        source: Path,
        clips: AudioCache,
        used: NDArray[np.int64],
        recipe: Recipe,
        directory: Path,
    ) -> FeatureCache:
        """Compute them into `directory`, or map what an earlier run with the same convolutions left there.

        Args:
            model: on the device to compute on.
            source: the model directory its convolutions come from.
            clips: of the training set.
            used: those to compute, shape (n,); 256 channels take 92 MB an hour of them and version.
            recipe: number of versions, and the changes.
            directory: for the files.
        """
        changed, convolve = _changes(recipe, clips), _convolutions(model, source, recipe)
        wanted = np.zeros(len(clips), dtype=np.int64)
        for clip in used.tolist():
            wanted[clip] = recipe.feature_versions.get(clips.rows[clip].set, recipe.keep_features)
        values, frames = [], []
        for version in range(max(wanted)):
            chosen = np.flatnonzero(wanted > version)
            file = directory / f"{_key(model, clips, chosen, recipe, version)}.float16"
            index = file.with_suffix(".json")
            if not index.exists():
                hours = clips.lengths[chosen].sum() / SAMPLE_RATE / 3600
                log.info(
                    "the convolutions run once over %d clips, %.1f h, version %d of %d",
                    chosen.size,
                    hours,
                    version + 1,
                    max(wanted),
                )
                on_gpu = model.device.type == "cuda"
                _compute(convolve, chosen, functools.partial(changed, version), file, on_gpu=on_gpu)
            counts = np.zeros(len(clips), dtype=np.int64)
            counts[chosen] = json.loads(index.read_text())
            values.append(np.memmap(file, dtype=np.float16, mode="r").reshape(int(counts.sum()), -1))
            frames.append(counts)
        return cls(values, frames)


def check_kept_features(recipe: Recipe) -> None:
    """Refuse a recipe that keeps features which do not stay the same (UsageError)."""
    changes = {
        "task is not ctc": recipe.task != "ctc",
        "freeze_feature_encoder is not set": not recipe.freeze_feature_encoder,
        "they come from no model (init or feature_encoder)": not (recipe.init or recipe.feature_encoder),
    }
    reasons = [reason for reason, holds in changes.items() if holds]
    if recipe.keep_features and reasons:
        raise UsageError(
            f"keep_features needs what the convolutions give to stay the same: {', '.join(reasons)}",
            hint="leave keep_features out, or change these",
        )
    if not recipe.keep_features and (recipe.feature_versions or recipe.feature_tempo != Recipe.feature_tempo):
        raise UsageError(
            "feature_versions and feature_tempo are for kept features",
            hint="set keep_features, or leave them out",
        )


def feature_batch(rows: Sequence[Features]) -> Batch:
    """Pad what the convolutions gave, (frames, channels) a row, to a batch that goes on from there."""
    frames = [len(row) for row in rows]
    longest = rounded_up(max(frames))
    # by numpy, as in make_batch: with operations of torch here a training took 1.35 times as long
    padded = np.zeros((len(rows), longest, rows[0].shape[1]), dtype=np.float32)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    nothing = torch.zeros(len(rows), 0)
    features = torch.from_numpy(padded).transpose(1, 2)
    return Batch(nothing, torch.tensor(frames), tuple(frames), nothing, nothing, features)


def tempo_frames(frames: int, factor: float) -> int:
    """Frames of a clip played `factor` times as fast."""
    return max(2, round(frames / factor))


def change_tempo(features: Features, factor: float) -> Features:
    """Features (frames, channels) of a clip played `factor` times as fast: interpolated, the pitch stays."""
    if factor == 1.0 or len(features) < 2:
        return features
    places = np.linspace(0, len(features) - 1, tempo_frames(len(features), factor), dtype=np.float32)
    before = np.minimum(places.astype(np.int64), len(features) - 2)
    share = (places - before).astype(np.float16)[:, None]
    changed: Features = features[before] * (1 - share) + features[before + 1] * share
    return changed


def _changes(recipe: Recipe, clips: AudioCache) -> Versions:
    """Every version of a clip follows from the seed, the clip and the version."""
    augmentation = Augmentation.load(recipe)

    def changed(version: int, clip: int) -> NDArray[np.float32]:
        rng = np.random.default_rng([recipe.seed, 2, version, clip])
        samples = change_speed(clips.clip(clip), float(rng.choice(recipe.speeds)))
        return augmentation.apply(samples, rng)

    return changed


def _convolutions(model: Model, source: Path, recipe: Recipe) -> Callable[[Batch], torch.Tensor]:
    """Those of the model: a batch -> (B, frames, channels); the fast engine's where it has them."""
    if model.device.type == "cpu":
        found = load_convolutions(source, torch.bfloat16 if recipe.precision == "bf16" else torch.float32)
        if found is not None:
            return found
    return lambda batch: convolutions(model, batch.to(model.device)).transpose(1, 2)


def _compute(
    convolve: Callable[[Batch], torch.Tensor],
    clips: NDArray[np.int64],
    samples_of: Callable[[int], NDArray[np.float32]],
    target: Path,
    *,
    on_gpu: bool,
) -> None:
    """Write the features of the clips to `target` and, when all are there, their lengths beside it."""

    @torch.inference_mode()
    def features(clip: int) -> Features:
        samples = samples_of(clip)
        # on a GPU too a convolution is planned for each size
        frames = rounded_up(frame_count(samples.size)) if on_gpu else PAIR
        batch = make_batch([samples], [wave_statistics(samples)], normalize=True, least_frames=frames)
        return convolve(batch)[0, : batch.frame_counts[0]].to(torch.float16).cpu().numpy()

    frames = []
    with target.open("wb") as out:
        for found in _in_threads(features, clips):
            # tofile would not tell of a full disk by its number
            out.write(np.ascontiguousarray(found).data)
            frames.append(len(found))
    write_whole(target.with_suffix(".json"), json.dumps(frames).encode())


def _in_threads(features: Callable[[int], Features], clips: NDArray[np.int64]) -> Iterator[Features]:
    """One clip a thread: more than one thread for each of its short operations gains little."""
    threads = torch.get_num_threads()

    def single() -> None:
        torch.set_num_threads(1)

    try:
        with ThreadPoolExecutor(threads, initializer=single) as pool:
            for start in range(0, clips.size, _AHEAD):
                yield from pool.map(features, clips[start : start + _AHEAD].tolist())
    finally:
        torch.set_num_threads(threads)


def _version(file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return file.name, status.st_size, status.st_mtime_ns


def _key(model: Model, clips: AudioCache, chosen: NDArray[np.int64], recipe: Recipe, version: int) -> str:
    """Names the file of a version by the weights, the clips in it, and all that changes them."""
    found = hashlib.sha256(clips.key.encode())
    found.update(chosen.tobytes())
    changes = [
        recipe.seed,
        recipe.precision,
        *(getattr(recipe, name) for name in _CHANGES),
        *map(_version, recordings_of(recipe)),
        version,
    ]
    found.update(repr(changes).encode())
    for name, tensor in base_model(model).feature_extractor.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().numpy().tobytes())
    return found.hexdigest()[:16]

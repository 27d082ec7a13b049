"""What frozen convolutions give of every clip, computed once.

Where the feature encoder does not learn and the samples are not changed, its output is the same in every
pass. Without it nano trains on 1.2 to 1.5 times as much audio a second, on two cores.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.forward import Model, base_model, convolutions
from sewcli.acoustic.statistics import wave_statistics
from sewcli.chunking import PAIR, SAMPLE_RATE, frame_count
from sewcli.errors import UsageError
from sewcli.training.cache import AudioCache
from sewcli.training.recipe import Recipe

log = logging.getLogger("sewcli")

Features = NDArray[np.float16]


class FeatureCache:
    """The output of the convolutions for many clips, mapped from one file of 16-bit floats.

    Args:
        values: of all clips, one after another, shape (sum of frames, channels).
        frames: of each clip, shape (clips,).
    """

    def __init__(self, values: Features, frames: NDArray[np.int64]) -> None:
        self._values = values
        self._starts = np.concatenate([[0], np.cumsum(frames)])

    def clip(self, index: int) -> Features:
        """Of one clip: (frames, channels)."""
        return self._values[self._starts[index] : self._starts[index + 1]]

    @classmethod
    def build(cls, model: Model, clips: AudioCache, directory: Path) -> FeatureCache:
        """Compute them into `directory`, or map what an earlier run with the same convolutions left there.

        Args:
            model: on the device to compute on.
            clips: 256 channels take 92 MB an hour of them.
            directory: for the file.
        """
        frames = np.array([frame_count(int(length)) for length in clips.lengths], dtype=np.int64)
        file = directory / f"{_key(model, clips)}.float16"
        if not file.exists():
            hours = clips.lengths.sum() / SAMPLE_RATE / 3600
            log.info("the convolutions run once over %d clips, %.1f h", len(clips), hours)
            temporary = file.with_suffix(".tmp")
            _compute(model, clips, temporary)
            temporary.replace(file)
        values = np.memmap(file, dtype=np.float16, mode="r").reshape(int(frames.sum()), -1)
        return cls(values, frames)


def check_kept_features(recipe: Recipe) -> None:
    """Refuse a recipe that keeps features which it changes (UsageError)."""
    changes = {
        "task is not ctc": recipe.task != "ctc",
        "freeze_feature_encoder is not set": not recipe.freeze_feature_encoder,
        "front_end_steps teaches them": recipe.init is None and recipe.front_end_steps > 0,
        "speeds changes clips": tuple(recipe.speeds) != (1.0,),
        **{
            f"{name} changes clips": bool(getattr(recipe, name))
            for name in ("noise_probability", "room_probability", "band_probability")
        },
    }
    reasons = [reason for reason, holds in changes.items() if holds]
    if recipe.keep_features and reasons:
        raise UsageError(
            f"keep_features needs what the convolutions give to stay the same: {', '.join(reasons)}",
            hint="leave keep_features out, or change these",
        )


def feature_batch(rows: Sequence[Features]) -> Batch:
    """Pad what the convolutions gave, (frames, channels) a row, to a batch that goes on from there."""
    frames = [len(row) for row in rows]
    longest = max(max(frames) + max(frames) % PAIR, PAIR)
    features = torch.zeros(len(rows), longest, rows[0].shape[1])
    for line, row in zip(features, rows, strict=True):
        line[: len(row)] = torch.from_numpy(np.array(row))
    nothing = torch.zeros(len(rows), 0)
    return Batch(nothing, torch.tensor(frames), tuple(frames), nothing, nothing, features.transpose(1, 2))


@torch.no_grad()
def _compute(model: Model, clips: AudioCache, target: Path) -> None:
    with target.open("wb") as out:
        for index in range(len(clips)):
            samples = clips.clip(index)
            batch = make_batch([samples], [wave_statistics(samples)], normalize=True)
            found = convolutions(model, batch.to(model.device))[0, :, : batch.frame_counts[0]]
            found.T.to(torch.float16).cpu().numpy().tofile(out)


def _key(model: Model, clips: AudioCache) -> str:
    """Names the file by the weights and the clips it was made of."""
    found = hashlib.sha256(clips.key.encode())
    for name, tensor in base_model(model).feature_extractor.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().numpy().tobytes())
    return found.hexdigest()[:16]

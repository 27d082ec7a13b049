"""Training for keyword spotting: clips with labels, and what is not a keyword.

Beside the labels of the manifest there are two more. `_unknown_` is speech that is none of the
keywords: stretches of transcribed recordings whose text holds no keyword. `_silence_` is the
absence of speech: stretches of the noise recordings, and the quietest moments of the speech.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.forward import Model, class_logits
from sewcli.acoustic.statistics import wave_statistics
from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import UsageError
from sewcli.training.augment import Samples, change_speed, cut
from sewcli.training.cache import AudioCache
from sewcli.training.recipe import Recipe

log = logging.getLogger("sewcli")

UNKNOWN, SILENCE = "_unknown_", "_silence_"
#: how often each of the two occurs, as a share of the keyword clips
UNKNOWN_SHARE, SILENCE_SHARE = 0.15, 0.05
_SHORTEST, _LONGEST = 0.5, 2.5


class KeywordTask:
    """Clips with labels, `_unknown_` and `_silence_`.

    Args:
        recipe: lengths and seed.
        train, dev: labelled clips.
        background: transcribed speech of the training and of the dev speakers.
        noise: recordings without speech.
    """

    selection_metric = "error"

    def __init__(
        self,
        recipe: Recipe,
        train: AudioCache,
        dev: AudioCache,
        background: tuple[AudioCache, AudioCache],
        noise: list[Samples],
    ) -> None:
        names = sorted({row.label for row in train.rows if row.label})
        self.labels = [*names, SILENCE, UNKNOWN]
        self._ids = {label: i for i, label in enumerate(self.labels)}
        self._train, self._noise = train, noise
        self._background = [(cache, _without(cache, names)) for cache in background]
        limit = recipe.max_seconds * SAMPLE_RATE, recipe.min_seconds * SAMPLE_RATE
        self._clips = [
            i for i, n in enumerate(train.lengths) if limit[1] <= n <= limit[0] and train.rows[i].label
        ]
        if len(self._clips) < len(train):
            log.warning("%d of %d training clips left out", len(train) - len(self._clips), len(train))
        self._extra = round(len(self._clips) * UNKNOWN_SHARE), round(len(self._clips) * SILENCE_SHARE)
        self._dev = self._dev_set(dev, recipe.seed)

    @property
    def head(self) -> dict[str, Any]:
        """Configuration of the head."""
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": self._ids,
        }

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Samples of each training clip (the expected length of the cut ones), shape (clips,)."""
        middle = int((_SHORTEST + _LONGEST) / 2 * SAMPLE_RATE)
        cut_clips = np.full(sum(self._extra), middle, dtype=np.int64)
        lengths: NDArray[np.int64] = np.concatenate([self._train.lengths[self._clips], cut_clips])
        return lengths

    def prepare_head(self, model: Model) -> None:
        """A fresh classification head needs nothing."""

    def example(self, index: int, speed: float, rng: np.random.Generator) -> tuple[Samples, int]:
        """Samples and label id; clips past the labelled ones are cut anew each time."""
        if index < len(self._clips):
            clip = self._clips[index]
            samples = change_speed(self._train.clip(clip), speed)
            samples = _shift(samples, rng)
            return _gain(samples, rng), self._ids[str(self._train.rows[clip].label)]
        if index < len(self._clips) + self._extra[0]:
            return _gain(self._unknown(0, rng), rng), self._ids[UNKNOWN]
        return _gain(self._silence(0, rng), rng), self._ids[SILENCE]

    def loss(self, model: Model, batch: Batch, targets: list[int]) -> torch.Tensor:
        """Cross-entropy with a little label smoothing."""
        logits = class_logits(model, batch).float()
        return torch.nn.functional.cross_entropy(logits, torch.tensor(targets), label_smoothing=0.05)

    @torch.no_grad()
    def evaluate(self, model: Model, _batch_samples: int) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Accuracy on the labelled dev clips and on all, and (label, answer) pairs of the wrong ones."""
        pairs = []
        for start in range(0, len(self._dev), 8):
            group = self._dev[start : start + 8]
            rows = [samples for samples, _ in group]
            batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
            best = class_logits(model, batch).argmax(-1).tolist()
            pairs += [(label, self.labels[i]) for (_, label), i in zip(group, best, strict=True)]
        keywords = [pair for pair in pairs if pair[0] not in (UNKNOWN, SILENCE)]
        metrics = {
            "error": sum(a != b for a, b in pairs) / len(pairs),
            "accuracy": sum(a == b for a, b in pairs) / len(pairs),
            "accuracy_keywords": sum(a == b for a, b in keywords) / len(keywords),
        }
        return metrics, [pair for pair in pairs if pair[0] != pair[1]] or pairs[:4]

    def _dev_set(self, dev: AudioCache, seed: int) -> list[tuple[Samples, str]]:
        rng = np.random.default_rng([seed, 2])
        clips = [(dev.clip(i), row.label) for i, row in enumerate(dev.rows) if row.label in self._ids]
        if not clips:
            raise UsageError("dev: no clip has one of the labels of the training manifest")
        clips += [(self._unknown(1, rng), UNKNOWN) for _ in range(round(len(dev) * UNKNOWN_SHARE))]
        clips += [(self._silence(1, rng), SILENCE) for _ in range(round(len(dev) * SILENCE_SHARE))]
        return sorted(clips, key=lambda clip: clip[0].size)

    def _unknown(self, part: int, rng: np.random.Generator) -> Samples:
        """A stretch of speech around a loud moment of a recording without keywords."""
        cache, clips = self._background[part]
        samples = cache.clip(int(rng.choice(clips)))
        length = min(samples.size, int(rng.uniform(_SHORTEST, _LONGEST) * SAMPLE_RATE))
        starts = rng.integers(samples.size - length + 1, size=4)
        power = [float(np.mean(samples[s : s + length] ** 2)) for s in starts]
        start = int(starts[int(np.argmax(power))])
        return samples[start : start + length]

    def _silence(self, part: int, rng: np.random.Generator) -> Samples:
        """A stretch of noise, or the quietest of several stretches of speech recordings."""
        length = int(rng.uniform(_SHORTEST, _LONGEST) * SAMPLE_RATE)
        if rng.random() < 0.7 and self._noise:
            return cut(self._noise[int(rng.integers(len(self._noise)))], length, rng)
        cache, clips = self._background[part]
        samples = cache.clip(int(rng.choice(clips)))
        length = min(int(0.3 * SAMPLE_RATE), samples.size)
        starts = range(0, samples.size - length + 1, length // 2)
        quiet = min(starts, key=lambda s: float(np.mean(samples[s : s + length] ** 2)))
        return samples[quiet : quiet + length]


def _without(cache: AudioCache, names: list[str]) -> NDArray[np.int64]:
    """Clips of at least the shortest cut whose text holds none of the keywords."""
    keywords = {word for name in names for word in name.upper().split()}
    keep = [
        i
        for i, row in enumerate(cache.rows)
        if row.text
        and not keywords & set(row.text.upper().split())
        and cache.lengths[i] >= _SHORTEST * SAMPLE_RATE
    ]
    if not keep:
        raise UsageError("background: no transcribed clip is free of keywords and long enough for _unknown_")
    return np.array(keep, dtype=np.int64)


def _shift(samples: Samples, rng: np.random.Generator) -> Samples:
    """Up to 0.2 s of near-silence before and after, so that place in the clip tells nothing."""
    before, after = rng.integers(0, int(0.2 * SAMPLE_RATE), size=2)
    floor = float(np.percentile(np.abs(samples[:: max(1, samples.size // 400)]), 10)) + 1e-5
    noise = rng.standard_normal(int(before + after)).astype(np.float32) * np.float32(floor)
    return np.concatenate([noise[:before], samples, noise[before:]])


def _gain(samples: Samples, rng: np.random.Generator) -> Samples:
    """Another level; the model normalises it away, noise that is added later does not follow."""
    return samples * np.float32(10 ** rng.uniform(-0.5, 0.2))

"""Training for classification: clips with labels, and for keyword spotting what is no keyword."""

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
from sewcli.training.augment import Samples, change_speed
from sewcli.training.batches import batches_in_order
from sewcli.training.cache import AudioCache, usable_dev_clips
from sewcli.training.keywords import SILENCE, UNKNOWN, OtherSounds
from sewcli.training.recipe import Recipe

log = logging.getLogger("sewcli")

#: how often each of the two occurs, as a share of the labelled clips
UNKNOWN_SHARE, SILENCE_SHARE = 0.15, 0.05


class ClassificationTask:
    """Clips with labels; with `other`, the labels `_unknown_` and `_silence_` too.

    Args:
        recipe: lengths and seed.
        train, dev: labelled clips.
        other: speech without keywords, and silence; None for the labels of the clips alone.

    Raises:
        UsageError: fewer than two labels, or a dev set without any of them.
    """

    selection_metric = "error"

    def __init__(self, recipe: Recipe, train: AudioCache, dev: AudioCache, other: OtherSounds | None) -> None:
        names = sorted({row.label for row in train.rows if row.label})
        self.labels = [*names, SILENCE, UNKNOWN] if other is not None else names
        if len(self.labels) < 2:
            raise UsageError(
                f"the training data have {len(self.labels)} label(s); a classifier needs two or more",
                hint="rows need a `label` (num_labels 1 would be a regression, which sew does not run)",
            )
        self._ids = {label: i for i, label in enumerate(self.labels)}
        self._train, self._other = train, other
        if other is not None:
            other.leave_out(names)
        limit = recipe.max_seconds * SAMPLE_RATE, recipe.min_seconds * SAMPLE_RATE
        self._clips = [
            i for i, n in enumerate(train.lengths) if limit[1] <= n <= limit[0] and train.rows[i].label
        ]
        if len(self._clips) < len(train):
            left_out = len(train) - len(self._clips)
            log.warning(
                "%d of %d training clips left out: no label, or outside %g to %g s",
                left_out,
                len(train),
                recipe.min_seconds,
                recipe.max_seconds,
            )
        self._unknowns = round(len(self._clips) * UNKNOWN_SHARE) if other is not None else 0
        self._silences = round(len(self._clips) * SILENCE_SHARE) if other is not None else 0
        self._dev = self._dev_set(dev, recipe)

    @property
    def outputs(self) -> list[str]:
        """The labels."""
        return self.labels

    @property
    def phones(self) -> list[str]:
        """None: nothing is learned beside the labels."""
        return []

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
        middle = int(OtherSounds.MEAN_SECONDS * SAMPLE_RATE)
        cut_clips = np.full(self._unknowns + self._silences, middle, dtype=np.int64)
        lengths: NDArray[np.int64] = np.concatenate([self._train.lengths[self._clips], cut_clips])
        return lengths

    def begin(self, step: int) -> None:
        """Before each update; nothing depends on it."""

    def prepare_head(self, model: Model) -> None:
        """A fresh classification head needs nothing."""

    def example(self, index: int, speed: float, rng: np.random.Generator) -> tuple[Samples, int]:
        """Samples and label id; clips past the labelled ones are cut anew each time."""
        if index < len(self._clips):
            clip = self._clips[index]
            samples = change_speed(self._train.clip(clip), speed)
            samples = _shift(samples, rng)
            return _gain(samples, rng), self._ids[str(self._train.rows[clip].label)]
        assert self._other is not None  # only then are there more
        if index < len(self._clips) + self._unknowns:
            return _gain(self._other.unknown(rng), rng), self._ids[UNKNOWN]
        return _gain(self._other.silence(rng), rng), self._ids[SILENCE]

    def kept(self, index: int, rng: np.random.Generator) -> None:
        """None: no pass hears the same samples."""

    def loss(self, model: Model, batch: Batch, targets: list[int]) -> torch.Tensor:
        """Cross-entropy with a little label smoothing."""
        logits = class_logits(model, batch).float()
        wanted = torch.tensor(targets, device=logits.device)
        return torch.nn.functional.cross_entropy(logits, wanted, label_smoothing=0.05)

    @torch.no_grad()
    def evaluate(self, model: Model, batch_samples: int) -> tuple[dict[str, float], list[tuple[str, str]]]:
        """Accuracy on the labelled dev clips and on all, and (label, answer) pairs, wrong ones first."""
        pairs = []
        lengths = np.array([samples.size for samples, _ in self._dev])
        for chosen in batches_in_order(lengths, batch_samples):
            group = [self._dev[i] for i in chosen]
            rows = [samples for samples, _ in group]
            batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
            best = class_logits(model, batch.to(model.device)).argmax(-1).tolist()
            pairs += [(label, self.labels[i]) for (_, label), i in zip(group, best, strict=True)]
        labelled = [pair for pair in pairs if pair[0] not in (UNKNOWN, SILENCE)]
        metrics = {
            "error": sum(a != b for a, b in pairs) / len(pairs),
            "accuracy": sum(a == b for a, b in pairs) / len(pairs),
            "accuracy_labelled": sum(a == b for a, b in labelled) / len(labelled),
        }
        return metrics, sorted(pairs, key=lambda pair: pair[0] == pair[1])

    def _dev_set(self, dev: AudioCache, recipe: Recipe) -> list[tuple[Samples, str]]:
        rng = np.random.default_rng([recipe.seed, 2])
        labelled = [(int(i), str(dev.rows[i].label)) for i in usable_dev_clips(dev, recipe.max_seconds)]
        clips = [(dev.clip(i), label) for i, label in labelled if label in self._ids]
        if len(clips) < len(labelled):
            left_out = len(labelled) - len(clips)
            log.warning("%d of %d dev clips left out: no label of the training data", left_out, len(labelled))
        if not clips:
            raise UsageError("dev: no clip has one of the labels of the training data")
        if self._other is not None:
            unknowns, silences = round(len(dev) * UNKNOWN_SHARE), round(len(dev) * SILENCE_SHARE)
            clips += [(self._other.unknown(rng, dev=True), UNKNOWN) for _ in range(unknowns)]
            clips += [(self._other.silence(rng, dev=True), SILENCE) for _ in range(silences)]
        return clips


def _shift(samples: Samples, rng: np.random.Generator) -> Samples:
    """Up to 0.2 s of near-silence before and after, so that place in the clip tells nothing."""
    before, after = rng.integers(0, int(0.2 * SAMPLE_RATE), size=2)
    floor = float(np.percentile(np.abs(samples[:: max(1, samples.size // 400)]), 10)) + 1e-5
    noise = rng.standard_normal(int(before + after)).astype(np.float32) * np.float32(floor)
    return np.concatenate([noise[:before], samples, noise[before:]])


def _gain(samples: Samples, rng: np.random.Generator) -> Samples:
    """Another level; the model normalises it away, noise that is added later does not follow."""
    return samples * np.float32(10 ** rng.uniform(-0.5, 0.2))

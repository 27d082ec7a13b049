"""Training for classification: clips with labels, and for keyword spotting what is no keyword."""

from __future__ import annotations

import hashlib
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
from sewcli.spotting.options import NO_EVENTS, SILENCE, UNKNOWN
from sewcli.training.augment import Samples, change_speed
from sewcli.training.batches import batches_in_order, fingerprint
from sewcli.training.cache import AudioCache, usable_dev_clips
from sewcli.training.keywords import OtherSounds
from sewcli.training.left_out import LeftOut
from sewcli.training.recipe import Recipe

_log = logging.getLogger("sewcli")

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

    selection_metrics: tuple[str, ...] = ("error", "loss")

    def __init__(self, recipe: Recipe, train: AudioCache, dev: AudioCache, other: OtherSounds | None) -> None:
        self._clips = _usable(train, recipe)
        names = _labels(train, self._clips)
        if other is not None:  # which adds to those that the data may have
            names = [name for name in names if name not in NO_EVENTS]
        self.labels = [*names, SILENCE, UNKNOWN] if other is not None else names
        if len(self.labels) < 2:
            found = f"one label, {self.labels[0]!r}" if self.labels else "no label"
            raise UsageError(
                f"the training data have {found}; a classifier needs two or more",
                hint="add clips of another label, as of what is no keyword",
            )
        self._smoothing = recipe.label_smoothing
        self._ids = {label: i for i, label in enumerate(self.labels)}
        self._train, self._other = train, other
        if other is not None:
            other.leave_out(names)
        self._unknowns = round(len(self._clips) * UNKNOWN_SHARE) if other is not None else 0
        self._silences = round(len(self._clips) * SILENCE_SHARE) if other is not None else 0
        self._dev = self._dev_set(dev, recipe)
        self.dev_fingerprint = _fingerprint(self._dev)

    @property
    def outputs(self) -> dict[str, list[str]]:
        """The labels."""
        return {"labels": self.labels}

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
        """Samples of each training clip (the most that the cut ones may have), shape (clips,)."""
        longest = int(OtherSounds.LONGEST_SECONDS * SAMPLE_RATE)
        cut_clips = np.full(self._unknowns + self._silences, longest, dtype=np.int64)
        lengths: NDArray[np.int64] = np.concatenate([self._train.lengths[self._clips], cut_clips])
        return lengths

    @property
    def fingerprint(self) -> str:
        """Tells the clips and labels from others, and the speech that other clips are cut from."""
        labels = [self._train.rows[clip].label for clip in self._clips]
        others = [] if self._other is None else [self._other.fingerprint]
        return fingerprint(self._train.lengths[self._clips], labels + others)

    @property
    def used(self) -> NDArray[np.int64]:
        """The clips of the training set that are learned from."""
        return np.array(self._clips, dtype=np.int64)

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
        """Cross-entropy, with the label smoothing of the recipe."""
        logits = class_logits(model, batch).float()
        wanted = torch.tensor(targets, device=logits.device)
        return torch.nn.functional.cross_entropy(logits, wanted, label_smoothing=self._smoothing)

    @torch.no_grad()
    def evaluate(self, model: Model, batch_samples: int) -> tuple[dict[str, float], list[tuple[str, str]]]:
        """Accuracy on labelled clips and on all, cross-entropy; (label, answer) pairs, wrong ones first."""
        pairs = []
        loss = 0.0
        lengths = np.array([samples.size for samples, _ in self._dev])
        for chosen in batches_in_order(lengths, batch_samples):
            group = [self._dev[i] for i in chosen]
            rows = [samples for samples, _ in group]
            batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
            logits = class_logits(model, batch.to(model.device)).float().cpu()
            wanted = torch.tensor([self._ids[label] for _, label in group])
            loss += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
            best = logits.argmax(-1).tolist()
            pairs += [(label, self.labels[i]) for (_, label), i in zip(group, best, strict=True)]
        labelled = [pair for pair in pairs if pair[0] not in NO_EVENTS]
        metrics = {
            "error": sum(a != b for a, b in pairs) / len(pairs),
            "accuracy": sum(a == b for a, b in pairs) / len(pairs),
            "loss": loss / len(pairs),
        }
        if labelled:
            metrics["accuracy_labelled"] = sum(a == b for a, b in labelled) / len(labelled)
        return metrics, sorted(pairs, key=lambda pair: pair[0] == pair[1])

    def _dev_set(self, dev: AudioCache, recipe: Recipe) -> list[tuple[Samples, str]]:
        rng = np.random.default_rng([recipe.seed, 2])
        left_out = LeftOut("dev", len(dev))
        clips = []
        for clip in usable_dev_clips(dev, recipe.max_seconds).tolist():
            label = str(dev.rows[clip].label)
            if label in self._ids:
                clips.append((dev.clip(clip), label))
            else:
                left_out.unfit(dev.rows[clip], "no label of the training data", f"the label {label}")
        left_out.tell()
        if not clips:
            raise UsageError("dev: no clip has one of the labels of the training data")
        if self._other is not None:
            unknowns, silences = round(len(dev) * UNKNOWN_SHARE), round(len(dev) * SILENCE_SHARE)
            clips += [(self._other.unknown(rng, dev=True), UNKNOWN) for _ in range(unknowns)]
            clips += [(self._other.silence(rng, dev=True), SILENCE) for _ in range(silences)]
        return clips


def _fingerprint(dev: list[tuple[Samples, str]]) -> str:
    """Tells the clips of dev from others, those that were drawn by their samples."""
    drawn = hashlib.sha256()
    for samples, label in dev:
        if label in NO_EVENTS:
            drawn.update(samples.tobytes())
    lengths = np.array([samples.size for samples, _ in dev], dtype=np.int64)
    return fingerprint(lengths, [*(label for _, label in dev), drawn.hexdigest()])


def _usable(train: AudioCache, recipe: Recipe) -> list[int]:
    """The clips within the lengths of the recipe; the others are told."""
    limits = f"outside {recipe.min_seconds:g} to {recipe.max_seconds:g} s"
    left_out = LeftOut("training", len(train))
    clips = []
    for clip, seconds in enumerate((train.lengths / SAMPLE_RATE).tolist()):
        if recipe.min_seconds <= seconds <= recipe.max_seconds:
            clips.append(clip)
        else:
            left_out.unfit(train.rows[clip], limits, f"{seconds:.1f} s, {limits}")
    left_out.tell()
    return clips


def _labels(train: AudioCache, clips: list[int]) -> list[str]:
    """Those of the clips, in order; labels none of whose clips can be used are told."""
    names = {label for clip in clips if (label := train.rows[clip].label)}
    lost = sorted({row.label for row in train.rows if row.label} - names)
    if lost:
        _log.warning("the model will not have the label %s: none of its clips can be used", ", ".join(lost))
    return sorted(names)


def _shift(samples: Samples, rng: np.random.Generator) -> Samples:
    """Up to 0.2 s of near-silence before and after, so that place in the clip tells nothing."""
    before, after = rng.integers(0, int(0.2 * SAMPLE_RATE), size=2)
    floor = float(np.percentile(np.abs(samples[:: max(1, samples.size // 400)]), 10)) + 1e-5
    noise = rng.standard_normal(int(before + after)).astype(np.float32) * np.float32(floor)
    return np.concatenate([noise[:before], samples, noise[before:]])


def _gain(samples: Samples, rng: np.random.Generator) -> Samples:
    """Another level; the model normalises it away, noise that is added later does not follow."""
    return samples * np.float32(10 ** rng.uniform(-0.5, 0.2))

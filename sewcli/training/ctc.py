"""Training for transcription: transcripts as targets, the CTC loss, error rates on dev."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.forward import Model, ctc_logits
from sewcli.chunking import PAIR, SAMPLE_RATE, frame_count
from sewcli.decoding.alignment import frames_needed
from sewcli.errors import UsageError
from sewcli.inputs.manifest import Row
from sewcli.training.augment import Samples, change_speed
from sewcli.training.batches import fingerprint
from sewcli.training.cache import AudioCache, usable_dev_clips
from sewcli.training.features import FeatureCache, Features, change_tempo, tempo_frames
from sewcli.training.heads import roles
from sewcli.training.left_out import LeftOut
from sewcli.training.phones import Lexicon, PhoneLoss
from sewcli.training.posteriors import disagreement, read_twice
from sewcli.training.recipe import Recipe
from sewcli.training.scores import TranscriptScores
from sewcli.training.teacher import Teacher
from sewcli.training.vocabulary import Speller
from sewcli.training.word_errors import WordErrorLoss

log = logging.getLogger("sewcli")

#: logit a fresh head gives the blank: most frames are blank where a model has converged
BLANK_BIAS = 2.0
_TOO_LONG = "text longer than its frames"


class Target(NamedTuple):
    """What a clip says: ids of its characters, and of its phones where a lexicon tells them."""

    tokens: list[int]
    phones: list[int]


class CtcTask:
    """Clips with transcripts.

    Clips whose text does not fit their frames or that are longer or shorter than the recipe allows are left
    out, which is told.

    Args:
        recipe: lengths and repetitions.
        train, dev: the clips.
        speller: vocabulary and spelling of the transcripts.
        skip_bad: leave out, too, clips whose text is empty or holds a character outside the vocabulary.

    Raises:
        UsageError: there are such clips, and they may not be left out.
    """

    selection_metrics: tuple[str, ...] = ("wer", "cer", "loss")

    def __init__(
        self,
        recipe: Recipe,
        train: AudioCache,
        dev: AudioCache,
        speller: Speller,
        *,
        skip_bad: bool = False,
    ) -> None:
        self.speller = speller
        self._train = train
        self._recipe = recipe
        kept = self._dev_clips(dev, skip_bad=skip_bad)
        references = [speller.normalize(dev.rows[clip].text or "") for clip in kept]
        self.dev_fingerprint = fingerprint(dev.lengths[kept], references)
        self._scores = TranscriptScores(dev, kept, speller)
        self._features: FeatureCache | None = None
        self._teacher: Teacher | None = None
        self._teaching = 0.0
        self._lexicon = Lexicon.read(recipe.lexicon) if recipe.lexicon is not None else None
        self._phones: PhoneLoss | None = None
        if self._lexicon is not None:
            self._phones = PhoneLoss(self._lexicon.columns, recipe.phone_layer, recipe.phone_weight)
        self._word_errors = WordErrorLoss(speller.vocabulary)
        self._counts_words = False
        self._targets: list[Target] = []
        self.clips: list[int] = []
        left_out = LeftOut("training", len(train), skip_bad=skip_bad)
        without = 0
        for index, row in enumerate(train.rows):
            ids = self._encoded(row, int(train.lengths[index]), left_out)
            if ids is None:
                continue
            times = recipe.repeat.get(row.set, 1)
            self.clips += [index] * times
            phones = self._lexicon.encode(self.speller.normalize(row.text or "")) if self._lexicon else []
            without += not phones
            self._targets += [Target(ids, phones)] * times
        left_out.tell()
        if self._lexicon and without:
            log.warning(
                "%d of %d training clips have a word that %s lacks", without, len(train), recipe.lexicon
            )
            if not any(target.phones for target in self._targets):
                raise UsageError(
                    f"lexicon: {recipe.lexicon} has all words of none of the training clips",
                    hint="its words are spelled as the texts are; recipes/lexicon.py makes one",
                )

    @property
    def outputs(self) -> dict[str, list[str]]:
        """The tokens of the vocabulary, and the phones where a lexicon tells them."""
        tokens = {"tokens": list(self.speller.vocabulary.tokens)}
        return tokens if self._lexicon is None else tokens | {"phones": self._lexicon.phones}

    @property
    def head(self) -> dict[str, Any]:
        """Configuration of the head; the loss settings are defaults that a recipe may change."""
        vocabulary = self.speller.vocabulary
        named = {token: i for i, token in enumerate(vocabulary.tokens)}
        return {
            "vocab_size": len(vocabulary.tokens),
            "pad_token_id": vocabulary.blank,
            "bos_token_id": named.get("<s>", 1),
            "eos_token_id": named.get("</s>", 2),
            "ctc_zero_infinity": True,
            "ctc_loss_reduction": "mean",
        }

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Samples of each training clip, shape (clips,)."""
        lengths: NDArray[np.int64] = self._train.lengths[self.clips]
        return lengths

    @property
    def fingerprint(self) -> str:
        """Tells the clips and their transcripts from others."""
        return fingerprint(self.lengths, self._targets)

    @property
    def used(self) -> NDArray[np.int64]:
        """The clips of the training set that are learned from."""
        return np.unique(np.array(self.clips, dtype=np.int64))

    def _dev_clips(self, dev: AudioCache, *, skip_bad: bool) -> NDArray[np.int64]:
        """The dev clips that are not too long and whose text can be spelled; the others are told."""
        left_out = LeftOut("dev", len(dev), skip_bad=skip_bad)
        short = usable_dev_clips(dev, self._recipe.max_seconds)
        kept = [clip for clip in short.tolist() if self._fits(dev, clip, left_out)]
        left_out.tell()
        if not kept:
            raise UsageError(
                "dev: no text can be spelled and fits its clip", hint="the messages above say why"
            )
        return np.array(kept, dtype=np.int64)

    def _fits(self, dev: AudioCache, clip: int, left_out: LeftOut) -> bool:
        """Whether a dev clip can be scored; else what is wrong with it is told."""
        row = dev.rows[clip]
        ids = self._spelled(row, left_out)
        frames = frame_count(int(dev.lengths[clip]))
        if ids is not None and frames_needed(ids) > frames:
            left_out.unfit(row, _TOO_LONG, f"its text needs {frames_needed(ids)} frames and has {frames}")
            return False
        return ids is not None

    def _encoded(self, row: Row, samples: int, left_out: LeftOut) -> list[int] | None:
        """The ids of the text of a training clip, or None after telling why it cannot be used."""
        recipe, seconds = self._recipe, samples / SAMPLE_RATE
        if not recipe.min_seconds <= seconds <= recipe.max_seconds:
            limits = f"outside {recipe.min_seconds:g} to {recipe.max_seconds:g} s"
            left_out.unfit(row, limits, f"{seconds:.3g} s, {limits}")
            return None
        ids = self._spelled(row, left_out)
        if ids is None:
            return None
        needed = frames_needed(ids)
        # room for speed-up
        frames = frame_count(int(samples / max(recipe.speeds)))
        if recipe.keep_features:
            frames = tempo_frames(frames, max(recipe.feature_tempo))
        if needed > frames // PAIR * PAIR:
            fits = f"its text needs {needed} frames and has {frames // PAIR * PAIR} at the highest speed"
            left_out.unfit(row, _TOO_LONG, fits)
            return None
        return ids

    def _spelled(self, row: Row, left_out: LeftOut) -> list[int] | None:
        """The ids of the text of a clip, or None after telling what is wrong with it."""
        text = self.speller.normalize(row.text or "")
        if not text:
            left_out.bad(row, "no text", "nothing is left of its text without punctuation")
            return None
        try:
            return self.speller.encode(text)
        except ValueError as error:
            hint = "correct it, have its letters learned by --set vocabulary=build"
            left_out.bad(row, "characters outside the vocabulary", str(error), hint)
            return None

    def add_phone_head(self, model: Model) -> None:
        """Where the recipe has a lexicon, give the model the head that reads phones while it trains.

        Raises:
            UsageError: the model has no such layer.
        """
        if self._phones is not None:
            self._phones.attach(model)

    def prepare_head(self, model: Model) -> None:
        """Start a fresh head near the state of a converged one."""
        with torch.no_grad():
            model.lm_head.bias[self.speller.vocabulary.blank] = BLANK_BIAS

    def example(self, index: int, speed: float, _rng: np.random.Generator) -> tuple[Samples, Target]:
        """Samples and target of one training clip."""
        return change_speed(self._train.clip(self.clips[index]), speed), self._targets[index]

    def keep_features(self, model: Model, source: Path, directory: Path) -> None:
        """Compute what the convolutions of the model give of the training clips, once for all passes.

        Args:
            model: whose convolutions do not learn.
            source: the model directory they come from.
            directory: for the features.

        Raises:
            UsageError: the teacher has other convolutions.
        """
        if self._teacher is not None:
            self._teacher.check_features(model)
        self._features = FeatureCache.build(model, source, self._train, self.used, self._recipe, directory)

    def learn_from(self, directory: Path) -> None:
        """Match the posteriors of the model in `directory` at first (UsageError where it does not fit)."""
        self._teacher = Teacher.load(directory, roles(self.speller.vocabulary), self._recipe.teacher_steps)

    def begin(self, step: int) -> None:
        """Before each update."""
        self._teaching = self._teacher.share(step) if self._teacher is not None else 0.0
        began = step >= self._recipe.word_error_from * self._recipe.steps
        self._counts_words = self._recipe.word_error_weight > 0 and began

    def kept(self, index: int, rng: np.random.Generator) -> tuple[Features, Target] | None:
        """Features and target of one training clip, after `keep_features`."""
        if self._features is None:
            return None
        features = self._features.clip(self.clips[index], rng)
        slowest, fastest = self._recipe.feature_tempo
        if slowest != fastest or fastest != 1.0:
            features = change_tempo(features, float(rng.uniform(slowest, fastest)))
        return features, self._targets[index]

    def loss(self, model: Model, batch: Batch, targets: list[Target]) -> torch.Tensor:
        """CTC loss of a batch as the model's configuration has it (ctc_loss_reduction, ctc_zero_infinity).

        While there is a teacher, part of it is the divergence from its posteriors; where phones are
        learned too, two readings of a clip compared, or word errors expected, their losses come on top.
        """
        if self._recipe.consistency:
            batch, targets = read_twice(batch), targets * 2
        if self._phones is None:
            return self._transcript_loss(model, batch, targets)
        listening = self._phones.listen(model)
        try:
            loss = self._transcript_loss(model, batch, targets)
        finally:
            listening.remove()
        phones = self._phones.loss(model, batch, [target.phones for target in targets])
        return loss + self._phones.weight * phones

    def _transcript_loss(self, model: Model, batch: Batch, targets: list[Target]) -> torch.Tensor:
        logits = ctc_logits(model, batch)
        tokens = [target.tokens for target in targets]
        loss = torch.nn.functional.ctc_loss(
            logits.float().log_softmax(-1).transpose(0, 1),
            torch.tensor([token for ids in tokens for token in ids], device=logits.device),
            # on the host, where the loss reads them
            torch.tensor(batch.frame_counts) // PAIR * PAIR,
            torch.tensor([len(ids) for ids in tokens]),
            blank=self.speller.vocabulary.blank,
            reduction=model.config.ctc_loss_reduction,
            zero_infinity=model.config.ctc_zero_infinity,
        )
        count = sum(len(ids) for ids in tokens)
        if self._teacher is not None and self._teaching:
            loss = torch.lerp(loss, self._teacher.loss(logits, batch, count), self._teaching)
        if self._recipe.consistency:
            loss = loss + self._recipe.consistency * disagreement(logits, batch, count)
        if self._counts_words:
            loss = loss + self._recipe.word_error_weight * self._word_errors.loss(logits, batch, tokens)
        return loss

    def evaluate(self, model: Model, batch_samples: int) -> tuple[dict[str, float], list[tuple[str, str]]]:
        """Error rates and CTC loss on dev, and the (reference, hypothesis) pairs: see `TranscriptScores`."""
        return self._scores.of(model, batch_samples)

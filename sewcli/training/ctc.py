"""Training for transcription: transcripts as targets, the CTC loss, error rates on dev."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.forward import Model, ctc_logits
from sewcli.acoustic.statistics import wave_statistics
from sewcli.chunking import PAIR, SAMPLE_RATE, frame_count
from sewcli.decoding.greedy import GreedyDecoder
from sewcli.errors import UsageError
from sewcli.evaluation import require_jiwer
from sewcli.training.augment import Samples, change_speed
from sewcli.training.batches import batches_in_order
from sewcli.training.cache import AudioCache, usable_dev_clips
from sewcli.training.features import FeatureCache, Features, change_tempo, tempo_frames
from sewcli.training.phones import Lexicon, PhoneLoss
from sewcli.training.posteriors import disagreement, read_twice
from sewcli.training.recipe import Recipe
from sewcli.training.teacher import Teacher
from sewcli.training.vocabulary import Speller
from sewcli.training.word_errors import WordErrorLoss

log = logging.getLogger("sewcli")

#: logit a fresh head gives the blank: most frames are blank where a model has converged
BLANK_BIAS = 2.0


class Target(NamedTuple):
    """What a clip says: ids of its characters, and of its phones where a lexicon tells them."""

    tokens: list[int]
    phones: list[int]


class CtcTask:
    """Clips with transcripts.

    Clips whose text does not fit their frames, is empty, holds a character outside the vocabulary,
    or that are longer or shorter than the recipe allows are left out; the count is logged.

    Args:
        recipe: lengths and repetitions.
        train, dev: the clips.
        speller: vocabulary and spelling of the transcripts.
    """

    selection_metric = "wer"

    def __init__(self, recipe: Recipe, train: AudioCache, dev: AudioCache, speller: Speller) -> None:
        require_jiwer()  # now, not at the first evaluation
        self.speller = speller
        self._train = train
        self._dev, self._dev_clips = dev, usable_dev_clips(dev, recipe.max_seconds)
        self._recipe = recipe
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
        left_out: Counter[str] = Counter()
        without = 0
        for index, row in enumerate(train.rows):
            reason, ids = self._check(recipe, row.text, int(train.lengths[index]))
            if reason:
                left_out[reason] += 1
                continue
            times = recipe.repeat.get(row.set, 1)
            self.clips += [index] * times
            phones = self._lexicon.encode(self.speller.normalize(row.text or "")) if self._lexicon else []
            without += not phones
            self._targets += [Target(ids, phones)] * times
        for reason, count in left_out.items():
            log.warning("%d of %d training clips left out: %s", count, len(train), reason)
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
    def outputs(self) -> list[str]:
        """The tokens of the vocabulary."""
        return list(self.speller.vocabulary.tokens)

    @property
    def phones(self) -> list[str]:
        """Those of the lexicon."""
        return self._lexicon.phones if self._lexicon is not None else []

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

    def _check(self, recipe: Recipe, text: str | None, samples: int) -> tuple[str, list[int]]:
        seconds = samples / SAMPLE_RATE
        if not recipe.min_seconds <= seconds <= recipe.max_seconds:
            return f"outside {recipe.min_seconds} to {recipe.max_seconds} s", []
        text = self.speller.normalize(text or "")
        if not text:
            return "no text", []
        try:
            ids = self.speller.encode(text)
        except ValueError as error:
            return str(error), []
        # CTC needs a frame a token and a blank between equal neighbours; leave room for speed-up
        repeats = sum(a == b for a, b in pairwise(ids))
        frames = frame_count(int(samples / max(recipe.speeds)))
        if recipe.keep_features:
            frames = tempo_frames(frames, max(recipe.feature_tempo))
        if len(ids) + repeats > frames // PAIR * PAIR:
            return "text longer than its frames", []
        return "", ids

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
        self._features = FeatureCache.build(model, source, self._train, self._recipe, directory)

    def learn_from(self, directory: Path) -> None:
        """Match the posteriors of the model in `directory` at first (UsageError where it does not fit)."""
        columns = len(self.speller.vocabulary.tokens)
        self._teacher = Teacher.load(directory, columns, self._recipe.teacher_steps)

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
            batch.frames // PAIR * PAIR,
            torch.tensor([len(ids) for ids in tokens], device=logits.device),
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

    @torch.no_grad()
    def evaluate(self, model: Model, batch_samples: int) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Error rates on dev, in all and by set, and the (reference, hypothesis) pairs."""
        jiwer = require_jiwer()
        pairs: dict[int, tuple[str, str]] = {}
        for chosen in batches_in_order(self._dev.lengths[self._dev_clips], batch_samples):
            clips = self._dev_clips[chosen]
            rows = [self._dev.clip(int(i)) for i in clips]
            batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
            logits = ctc_logits(model, batch.to(model.device)).float().cpu().numpy()
            for clip, row, frames in zip(clips, logits, batch.frames.tolist(), strict=True):
                decoder = GreedyDecoder(self.speller.vocabulary)
                decoder.push(row[: frames // PAIR * PAIR])
                reference = self.speller.normalize(self._dev.rows[int(clip)].text or "")
                pairs[int(clip)] = (reference, decoder.finish().text)
        metrics: dict[str, Any] = {}
        sets = ["", *sorted({self._dev.rows[i].set for i in pairs})]
        for name in sets:
            of_set = [pair for i, pair in sorted(pairs.items()) if name in ("", self._dev.rows[i].set)]
            references, hypotheses = [list(side) for side in zip(*of_set, strict=True)]
            suffix = f"_{name}" if name else ""
            metrics[f"wer{suffix}"] = jiwer.wer(references, hypotheses)
            metrics[f"cer{suffix}"] = jiwer.cer(references, hypotheses)
        return metrics, [pair for _, pair in sorted(pairs.items())]

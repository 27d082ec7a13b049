"""Scores of utterances and their sums, by set and in all.

Only sums are kept: what is held does not grow with the number of utterances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sewcli.evaluation.intervals import RateInterval, share_interval
from sewcli.evaluation.loss import Loss
from sewcli.evaluation.normalizers import Normalizer, unchanged
from sewcli.evaluation.rates import Edits, Metric, character_edits, folded, word_edits


@dataclass(frozen=True)
class Scored:
    """One utterance: what was said or which label it has, what came out, and where it comes from.

    Attributes:
        reference: as the manifest has it: a transcript, or a label.
        hypothesis: as the model gave it.
        set: the part of the data it belongs to, or "".
        path: of the audio, as given.
        offset: where a part of a file begins, in seconds; None for a whole file.
        duration: of the audio, in seconds, or None if it is not known.
        loss: the CTC loss of the reference, or None if it was not taken.
        network_seconds: its share of the time spent in the network, or None.
        score: probability of the label (classification).
        channel: that was read, from 0; None for the mix.
    """

    reference: str
    hypothesis: str
    set: str
    path: str = ""
    offset: float | None = None
    duration: float | None = None
    loss: Loss | None = None
    network_seconds: float | None = None
    score: float | None = None
    channel: int | None = None


@dataclass(frozen=True)
class WordScore:
    """The edits of one utterance.

    Attributes:
        words, characters: after normalising, letter case ignored.
        alignment: word by word, see `word_edits`.
    """

    words: Edits
    characters: Edits
    alignment: str

    def edits(self, metric: Metric) -> Edits:
        """Those of words or of characters."""
        return self.words if metric == "wer" else self.characters


def word_score(utterance: Scored, normalize: Normalizer = unchanged) -> WordScore:
    """Edits between the normalised reference and hypothesis (UsageError: jiwer is not installed)."""
    reference, hypothesis = (folded(normalize(text)) for text in (utterance.reference, utterance.hypothesis))
    words, alignment = word_edits(reference, hypothesis)
    return WordScore(words, character_edits(reference, hypothesis), alignment)


@dataclass
class Speed:
    """Time spent in the network, and the audio it was spent on, in seconds."""

    audio: float = 0.0
    network: float = 0.0
    known: bool = False

    def add(self, utterance: Scored) -> None:
        """Count an utterance, if its times are known."""
        if utterance.duration is not None and utterance.network_seconds is not None:
            self.known = True
            self.audio += utterance.duration
            self.network += utterance.network_seconds

    def as_object(self) -> dict[str, Any]:
        """audio_seconds, network_seconds, and the real-time factor rtf: network over audio seconds."""
        if not self.known:
            return {}
        rtf = self.network / self.audio if self.audio else None
        return {"audio_seconds": round(self.audio, 3), "network_seconds": round(self.network, 6), "rtf": rtf}


@dataclass
class LossSum:
    """The mean CTC loss: the losses of the utterances, each as transformers gives it, over their number.

    With ctc_loss_reduction "mean" that is what transformers gives for all of them as one batch. A text
    that does not fit its frames counts as 0 under ctc_zero_infinity, as there, and is left out
    otherwise, since the mean would be infinite; one that cannot be spelled is left out.
    """

    total: float = 0.0
    counted: int = 0
    taken: bool = False
    problems: Counter[str] = field(default_factory=Counter)

    def add(self, loss: Loss | None) -> None:
        """Count an utterance, if its loss was taken."""
        if loss is None:
            return
        self.taken = True
        if loss.problem:
            self.problems[loss.problem] += 1
        if loss.value is not None and loss.value != float("inf"):
            self.total += loss.value
            self.counted += 1

    def as_object(self) -> dict[str, Any]:
        """loss, its utterances, and how many texts cannot be spelled or do not fit their frames."""
        if not self.taken:
            return {}
        return {
            "loss": self.total / self.counted if self.counted else None,
            "loss_utterances": self.counted,
            "loss_unspellable": self.problems["unspellable"],
            "loss_misfits": self.problems["misfit"],
        }


@dataclass
class RateSum:
    """Error rates: edits over the length of the references, of the corpus, not the mean over utterances."""

    utterances: int = 0
    wrong: int = 0
    words: Edits = field(default_factory=Edits)
    characters: Edits = field(default_factory=Edits)
    of_words: RateInterval = field(default_factory=RateInterval)
    of_characters: RateInterval = field(default_factory=RateInterval)
    loss: LossSum = field(default_factory=LossSum)
    speed: Speed = field(default_factory=Speed)

    def add(self, utterance: Scored, score: WordScore) -> None:
        """Count an utterance."""
        self.utterances += 1
        self.wrong += score.words.total > 0
        self.words += score.words
        self.characters += score.characters
        self.of_words.add(score.words)
        self.of_characters.add(score.characters)
        self.loss.add(utterance.loss)
        self.speed.add(utterance)

    def as_object(self) -> dict[str, Any]:
        """Counts, and the rates wer, cer (with intervals) and ser (utterances with an error) as fractions."""
        return {
            "utterances": self.utterances,
            "words": self.words.length,
            "characters": self.characters.length,
            "substitutions": self.words.substitutions,
            "deletions": self.words.deletions,
            "insertions": self.words.insertions,
            "wer": self.words.rate,
            "wer_interval": self.of_words.of(self.words),
            "cer": self.characters.rate,
            "cer_interval": self.of_characters.of(self.characters),
            "ser": self.wrong / self.utterances,
            **self.loss.as_object(),
            **self.speed.as_object(),
        }


@dataclass
class AccuracySum:
    """The share of right labels."""

    utterances: int = 0
    correct: int = 0
    speed: Speed = field(default_factory=Speed)

    def add(self, utterance: Scored, _score: None) -> None:
        """Count a clip."""
        self.utterances += 1
        self.correct += utterance.reference == utterance.hypothesis
        self.speed.add(utterance)

    def as_object(self) -> dict[str, Any]:
        """utterances, correct, accuracy and its interval."""
        return {
            "utterances": self.utterances,
            "correct": self.correct,
            "accuracy": self.correct / self.utterances,
            "accuracy_interval": share_interval(self.correct, self.utterances),
            **self.speed.as_object(),
        }


class Sum(Protocol):
    """Scores added up."""

    def add(self, utterance: Scored, score: Any, /) -> None:
        """Count an utterance."""

    def as_object(self) -> dict[str, Any]:
        """The scores, for JSON."""


class SumsBySet:
    """Scores added up in all and by set.

    Args:
        new: makes an empty sum.
    """

    def __init__(self, new: Callable[[], Sum]) -> None:
        self._new = new
        self._all = new()
        self._sets: dict[str, Sum] = {}

    def add(self, utterance: Scored, score: WordScore | None) -> None:
        """Count an utterance."""
        self._all.add(utterance, score)
        if utterance.set:
            self._sets.setdefault(utterance.set, self._new()).add(utterance, score)

    def as_object(self) -> dict[str, Any]:
        """The scores of all utterances, at least one; and those of each set under `sets`."""
        sets = {name: self._sets[name].as_object() for name in sorted(self._sets)}
        return {**self._all.as_object(), "sets": sets}


def error_rates(utterances: Iterable[Scored], normalize: Normalizer = unchanged) -> dict[str, Any]:
    """Word, character and sentence error rates, in all and by set; letter case is ignored.

    Returns:
        See `RateSum.as_object`; and the same by set under `sets`.

    Raises:
        UsageError: jiwer is not installed.
    """
    sums = SumsBySet(RateSum)
    for utterance in utterances:
        sums.add(utterance, word_score(utterance, normalize))
    return sums.as_object()

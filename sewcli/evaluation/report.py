"""Takes scored utterances one by one and makes the report of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sewcli.evaluation.confusion import Confusion
from sewcli.evaluation.loss import Loss
from sewcli.evaluation.normalizers import Normalizer, unchanged
from sewcli.evaluation.scores import AccuracySum, RateSum, Scored, SumsBySet, word_score
from sewcli.evaluation.table import Table
from sewcli.inputs.manifest import NAMED
from sewcli.results import Failure

_RATES = ("wer", "cer", "ser", "accuracy")
_COUNTS = {"substitutions": "sub", "deletions": "del", "insertions": "ins"}


class Report:
    """Sums, table and confusion matrix of one evaluation.

    Args:
        task: "ctc" or "classification".
        normalize: applied to references and hypotheses before they are compared (ctc).
        table: to write a line to for each utterance, or None.
    """

    def __init__(self, task: str, normalize: Normalizer = unchanged, table: Table | None = None) -> None:
        self._task = task
        self._normalize = normalize
        self._table = table
        self._sums = SumsBySet(RateSum if task == "ctc" else AccuracySum)
        self.confusion = Confusion()
        self.scored = 0
        self.failed = 0
        #: texts that cannot be spelled or do not fit their frames, and a message for each of the first
        self.loss_problems = 0
        self.loss_messages: list[str] = []

    def add(self, where: str, utterance: Scored) -> None:
        """Score an utterance that stands at `where` (file and line)."""
        score = None
        if self._task == "ctc":
            score = word_score(utterance, self._normalize)
        else:
            self.confusion.add(utterance.reference, utterance.hypothesis)
        self.scored += 1
        self._sums.add(utterance, score)
        if utterance.loss is not None and utterance.loss.message:
            self._note_loss(where, utterance.path, utterance.loss)
        if self._table is not None:
            self._table.add(utterance, score)

    def _note_loss(self, where: str, path: str, loss: Loss) -> None:
        self.loss_problems += 1
        if self.loss_problems <= NAMED:
            counts = "its loss counts as 0 (ctc_zero_infinity)" if loss.value == 0 else "no loss"
            self.loss_messages.append(f"{where}: {path}: {loss.message}: {counts}")

    def add_failure(self, failure: Failure, part: str) -> None:
        """Count an input of set `part` that has failed."""
        self.failed += 1
        if self._table is not None:
            self._table.add_failure(failure, part)

    def as_object(self) -> dict[str, Any]:
        """The scores in all, by set, by label (classification), and `failed`, the inputs not in them."""
        labels: dict[str, Any] = {}
        if self._task != "ctc":
            labels = {"macro_f1": self.confusion.macro_f1(), "labels": self.confusion.by_label()}
        return {**self._sums.as_object(), **labels, "failed": self.failed}


def lines(scores: dict[str, Any]) -> Iterator[str]:
    """The report for people: tab-separated columns, rates in percent."""
    rates = [key for key in _RATES if key in scores]
    counts = [key for key in _COUNTS if key in scores]
    others = [key for key in ("loss", "rtf") if key in scores]
    yield "\t".join(["set", "utterances", *rates, *(_COUNTS[key] for key in counts), *others])
    for name, part in [*scores["sets"].items(), ("all", scores)]:
        yield "\t".join(
            [
                name,
                str(part["utterances"]),
                *(_percent(part[rate]) for rate in rates),
                *(str(part[count]) for count in counts),
                # a set of a result file may have been scored without them
                *(_decimal(part.get(key)) for key in others),
            ]
        )


def notes(scores: dict[str, Any]) -> Iterator[str]:
    """What is to be told of a report: what it does not count, and the time it took."""
    intervals = [
        f"{name} {100 * low:.2f} to {100 * high:.2f} %"
        for name in _RATES
        if scores.get(f"{name}_interval")
        for low, high in [scores[f"{name}_interval"]]
    ]
    if intervals:
        yield f"95 % interval: {', '.join(intervals)}"
    if scores["failed"]:
        yield f"failed inputs, not counted: {scores['failed']}"
    if scores.get("skipped"):
        yield f"bad rows of the manifest, not counted: {scores['skipped']}"
    if scores.get("loss_unspellable") or scores.get("loss_misfits"):
        yield (
            f"loss: mean of {scores['loss_utterances']} of {scores['utterances']} utterances; texts that "
            f"the vocabulary cannot spell: {scores['loss_unspellable']}, that do not fit their frames: "
            f"{scores['loss_misfits']}"
        )
    if "wall_seconds" in scores:
        yield (
            f"audio {scores['audio_seconds']:.1f} s, network {scores['network_seconds']:.1f} s (rtf), "
            f"with reading, decoding and scoring {scores['wall_seconds']:.1f} s"
        )


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.2f}"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

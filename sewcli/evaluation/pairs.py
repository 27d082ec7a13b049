"""Two result files brought together: the utterances that both have, and the errors of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sewcli.errors import UsageError
from sewcli.evaluation.answers import Answer, read_answers, with_references
from sewcli.evaluation.normalizers import Normalizer
from sewcli.evaluation.rates import Metric, folded
from sewcli.evaluation.scores import word_score
from sewcli.inputs.manifest import Row, Task


@dataclass(frozen=True)
class Paired:
    """Errors of two results on the same utterances.

    Attributes:
        task: "ctc" (errors in words or characters) or "classification" (wrong labels).
        counts: shape (n, 3): errors of A, errors of B, words or characters of the reference (1 for a label).
        sets: of each utterance, shape (n,).
        left_out: utterances without an answer in both.
    """

    task: Task
    counts: NDArray[np.int64]
    sets: NDArray[np.str_]
    left_out: int


def pair(
    files: tuple[Path, Path], rows: Sequence[Row] | None, normalize: Normalizer, metric: Metric = "wer"
) -> Paired:
    """Read two result files and count the errors of each utterance.

    Args:
        files: A and B.
        rows: of the manifest with the references; None where the files hold them.
        normalize: applied to transcripts before they are compared.
        metric: what of transcripts is counted, words or characters.

    Raises:
        UsageError: the files are for different tasks, hold no or different references, have no utterance
            in common, or jiwer is not installed.
    """
    both = [read_answers(file) for file in files]
    tasks: set[Task] = {answer.task for answers in both for answer in answers if answer.task is not None}
    if len(tasks) > 1:
        raise UsageError(f"{files[0]} and {files[1]} are of different tasks: transcripts and labels")
    if not tasks:
        raise UsageError(f"{files[0]} and {files[1]} hold nothing but failed inputs")
    task = tasks.pop()
    pairs = _in_common(both, rows, task)
    counts, sets, total = [], [], 0
    for first, second in pairs:
        total += 1
        if first is None or second is None or first.error or second.error:
            continue
        counts.append(_errors(first, second, task, normalize, metric))
        sets.append(first.scored.set)
    if not counts:
        raise UsageError(
            f"{files[0]} and {files[1]} have no utterance in common", hint="compare the paths in both files"
        )
    return Paired(task, np.array(counts), np.array(sets), total - len(counts))


def _in_common(
    both: Sequence[list[Answer]], rows: Sequence[Row] | None, task: Task
) -> list[tuple[Answer | None, Answer | None]]:
    """The answers of both to each utterance."""
    if rows is not None:
        first, second = (with_references(answers, rows, task) for answers in both)
        return list(zip(first, second, strict=True))
    for answer in (answer for answers in both for answer in answers):
        if not answer.has_reference and not answer.error:
            raise UsageError(
                f"{answer.where} has no reference",
                hint="name the manifest too: sew evaluate MANIFEST --compare A B",
            )
    by_key = [{answer.key: answer for answer in answers} for answers in both]
    keys = dict.fromkeys([*by_key[0], *by_key[1]])
    return [(by_key[0].get(key), by_key[1].get(key)) for key in keys]


def _errors(
    first: Answer, second: Answer, task: Task, normalize: Normalizer, metric: Metric
) -> tuple[int, int, int]:
    a, b = first.scored, second.scored
    if task == "classification":
        same = a.reference == b.reference
        numbers = (int(a.hypothesis != a.reference), int(b.hypothesis != b.reference), 1)
    else:
        same = folded(normalize(a.reference)) == folded(normalize(b.reference))
        edits = [word_score(scored, normalize).edits(metric) for scored in (a, b)]
        numbers = (edits[0].total, edits[1].total, edits[0].length)
    if not same:
        raise UsageError(
            f"{first.where} and {second.where} have different references for {a.path}",
            hint="compare results on the same manifest",
        )
    return numbers

"""What is scored against what: the rows of a manifest, or the results of a file beside their references."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sewcli.errors import UsageError
from sewcli.evaluation.answers import Answer, read_answers, with_references
from sewcli.evaluation.scores import Scored
from sewcli.inputs.corpus import load_corpus
from sewcli.inputs.manifest import Row, Task
from sewcli.results import Failure

log = logging.getLogger("sewcli")


@dataclass(frozen=True)
class References:
    """The rows of a manifest, all good for one task.

    Attributes:
        path: of the manifest.
        task: "ctc" or "classification".
        rows: at least one.
        skipped: how many bad rows were left out.
    """

    path: Path
    task: Task
    rows: Sequence[Row]
    skipped: int


@dataclass(frozen=True)
class Item:
    """An utterance to be counted.

    Attributes:
        where: file and line its reference or its result comes from.
        set: the part of the data it belongs to, or "".
        scored: its reference and hypothesis, or what has failed.
    """

    where: str
    set: str
    scored: Scored | Failure


def read_references(
    path: Path,
    unpacked: Path,
    *,
    skip_bad: bool,
    files: bool,
    split: str = "test",
    wanted: Task | None = None,
) -> References:
    """Read a manifest or a data set directory for evaluating.

    Args:
        path: of the manifest or the directory.
        unpacked: directory for the clips of a saved data set, which lie in its tables.
        skip_bad: leave bad rows out, each with a warning.
        files: with `skip_bad`, leave out rows whose audio file is missing, too.
        split: see `load_corpus`.
        wanted: what the rows are for where they could be for it; by default the first of them tells.

    Raises:
        UsageError: there are bad rows that may not be left out, or no good ones.
    """
    manifest = load_corpus(path, unpacked, split=split)
    task = wanted if wanted is not None and manifest.holds(wanted) else manifest.task
    manifest.check(task, files=files and skip_bad)
    rows = manifest.settle(skip_bad=skip_bad)
    return References(path, task, rows, len(manifest.problems))


def read_results(path: Path, references: References | None) -> tuple[Task, Iterator[Item]]:
    """The utterances of a result file, with the references of the manifest or, without one, their own.

    Raises:
        UsageError: the file is no result file, is for another task, holds no references where there is no
            manifest, or none of the manifest's inputs.
    """
    answers = read_answers(path)
    answered = next((answer for answer in answers if answer.task is not None), None)
    task: Task = "ctc" if answered is None or answered.task is None else answered.task
    other = next((answer for answer in answers if answer.task not in (task, None)), None)
    if other is not None:
        raise UsageError(f"{other.where} is of another task than the results before it")
    if references is None:
        bare = next((item for item in answers if not item.has_reference and item.error is None), None)
        if bare is not None:
            raise UsageError(
                f"{bare.where} has no reference",
                hint="name the manifest too: sew evaluate MANIFEST --results FILE",
            )
        return task, (_item(answer.where, answer.scored.set, answer) for answer in answers)
    if answered is not None and task != references.task:
        raise UsageError(f"{path} holds {task} results, {references.path} {references.task} references")
    matched = with_references(answers, references.rows, references.task)
    found = sum(answer is not None for answer in matched)
    if not found:
        raise UsageError(
            f"{path} has a result for none of the {len(matched)} inputs of {references.path}",
            hint=f"the first are {answers[0].scored.path} there and {references.rows[0].source.path} here",
        )
    if found < len(answers):
        log.warning("%s: %d results are for no row of %s", path, len(answers) - found, references.path)
    return references.task, _matched_items(references, matched)


def _matched_items(references: References, matched: Sequence[Answer | None]) -> Iterator[Item]:
    for row, answer in zip(references.rows, matched, strict=True):
        where = row.place or row.source.path
        if answer is None:
            failure = Failure(row.source.path, "no_result", f"{where}: {row.source.path}: no result for it")
            yield Item(where, row.set, failure)
        else:
            yield _item(where, row.set, answer)


def _item(where: str, part: str, answer: Answer) -> Item:
    if answer.error is None:
        return Item(where, part, answer.scored)
    return Item(where, part, Failure(answer.scored.path, "failed", f"{where}: {answer.error}"))

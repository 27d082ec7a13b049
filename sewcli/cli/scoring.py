"""What `sew evaluate` does before and after the model: references, result files, tables and the report."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sewcli.cli.atomic import write_whole
from sewcli.cli.console import report_failure
from sewcli.cli.places import check_file
from sewcli.cli.run import exit_code
from sewcli.cli.streams import write_lines, write_stdout
from sewcli.errors import SewError, UsageError
from sewcli.evaluation import confusion as matrix
from sewcli.evaluation import table as tables
from sewcli.evaluation.answers import Answer, read_answers, with_references
from sewcli.evaluation.normalizers import Normalizer
from sewcli.evaluation.report import Report, lines
from sewcli.evaluation.scores import Scored
from sewcli.inputs.corpus import load_corpus
from sewcli.inputs.manifest import Row, Task, listed
from sewcli.results import Failure
from sewcli.temporary import temporary_directory
from sewcli.writers import FORMATS, formats_for
from sewcli.writers.jsonl import SCHEMA_VERSION, dump

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
    context: Any, path: Path, *, skip_bad: bool, files: bool, split: str = "test"
) -> References:
    """Read a manifest or a data set directory for evaluating.

    Args:
        context: of the command; what is unpacked of a saved data set goes with it.
        path: of the manifest or the directory.
        skip_bad: leave bad rows out, each with a warning.
        files: with `skip_bad`, leave out rows whose audio file is missing, too.
        split: of a saved dictionary of splits.

    Raises:
        UsageError: there are bad rows that may not be left out, or no good ones.
    """
    unpacked = context.with_resource(temporary_directory()) if path.is_dir() else path
    manifest = load_corpus(path, unpacked, split=split)
    task = manifest.task
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
    told = next((answer for answer in answers if answer.task is not None), None)
    task: Task = "ctc" if told is None or told.task is None else told.task
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
    if told is not None and task != references.task:
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


def score_format(names: Sequence[str] | None) -> str:
    """The format of `-f` for scores, by default text.

    Args:
        names: as given; settings that only other commands can take are left out before.

    Raises:
        UsageError: it is unknown, or there are several.
    """
    known = tuple(formats_for("labels"))
    chosen = list(dict.fromkeys(names or known[:1]))
    for name in chosen:
        if name not in known:
            problem = "not for scores" if name in FORMATS else "unknown"
            raise UsageError(f"format {name!r} is {problem}", hint=f"one of {', '.join(known)}")
    if len(chosen) > 1:
        raise UsageError("scores have one format", hint="give -f once")
    return chosen[0]


@dataclass(frozen=True)
class Outputs:
    """Where scores go.

    Attributes:
        form: "text" or "json", on standard output.
        table: file of the per-utterance table, or None.
        confusion: files of the confusion matrix.
        overwrite: whether they may exist.
    """

    form: str
    table: Path | None
    confusion: Sequence[Path]
    overwrite: bool

    def check(self) -> None:
        """Refuse what cannot be written, before anything runs (UsageError)."""
        if self.table is not None:
            tables.check_target(self.table)
        for file in self.confusion:
            matrix.check_target(file)
        files = [("--table", self.table)] if self.table else []
        for option, file in [*files, *(("--confusion", file) for file in self.confusion)]:
            check_file(option, file)
            if file.exists() and not self.overwrite:
                raise UsageError(f"{file} exists", hint="add --overwrite to replace it")
            if not file.parent.is_dir():
                raise UsageError(f"{file}: there is no directory {file.parent}")

    def check_task(self, task: Task) -> None:
        """Refuse a confusion matrix of transcripts (UsageError)."""
        if task == "ctc" and self.confusion:
            raise UsageError(
                "a confusion matrix is of labels; these are transcripts", hint="drop --confusion"
            )

    def show(self, scores: dict[str, Any], as_lines: Callable[[dict[str, Any]], Iterator[str]]) -> None:
        """Print scores in the form asked for."""
        if self.form == "json":
            write_stdout(dump(scores))
        else:
            write_lines(*as_lines(scores))

    def write_confusion(self, confusion: matrix.Confusion) -> None:
        """Write the confusion matrix to its files (SewError where one cannot be)."""
        for file in self.confusion:
            try:
                write_whole(file, confusion.write(file.suffix.lower()))
            except OSError as error:
                raise SewError(f"cannot write {file}: {error.strerror}", code="output") from error


def score(
    items: Iterator[Item],
    task: Task,
    normalize: Normalizer,
    outputs: Outputs,
    record: dict[str, Any],
    *,
    timed: bool,
) -> int:
    """Score utterances as they come, write what was asked for, and give the exit code.

    Args:
        items: the utterances.
        task: what they are for.
        normalize: applied to transcripts before they are compared.
        outputs: where scores go.
        record: goes into the JSON object as it is.
        timed: whether a model makes the items, so that the time it takes is of interest.
    """
    started = time.perf_counter()
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(tables.Table(outputs.table, task)) if outputs.table else None
        report = Report(task, normalize, table)
        try:
            for item in items:
                if isinstance(item.scored, Failure):
                    report_failure(item.scored)
                    report.add_failure(item.scored, item.set)
                else:
                    report.add(item.where, item.scored)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(f"{report.scored} utterances were scored, nothing is written") from stop
    for message in listed(report.loss_messages, report.loss_problems):
        log.warning("%s", message)
    if report.scored:
        scores = {"schema_version": SCHEMA_VERSION, **report.as_object(), **record}
        if timed:
            scores["wall_seconds"] = round(time.perf_counter() - started, 6)
        outputs.show(scores, lines)
        outputs.write_confusion(report.confusion)
    return exit_code(report.scored, report.failed)

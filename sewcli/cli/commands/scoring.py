"""Where the scores of `sew evaluate` go: tables, files and the report."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sewcli.atomic import write_whole
from sewcli.cli.console import report_failure
from sewcli.cli.output.places import check_not_read, check_place, check_regular
from sewcli.cli.streams import write_lines, write_stdout
from sewcli.cli.writing import exit_code
from sewcli.errors import SewError, UsageError
from sewcli.evaluation import confusion as matrix
from sewcli.evaluation import table as tables
from sewcli.evaluation.normalizers import Normalizer
from sewcli.evaluation.references import Item
from sewcli.evaluation.report import Report, lines, notes
from sewcli.inputs.manifest import Task, listed
from sewcli.inputs.standard_input import check_read_once
from sewcli.results import Failure
from sewcli.writers import FORMATS, formats_for
from sewcli.writers.jsonl import SCHEMA_VERSION, dump

log = logging.getLogger("sewcli")


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

    def check(self, inputs: Iterable[Path | None]) -> None:
        """Refuse what cannot be written, and to replace what is read, before anything runs (UsageError)."""
        read = [path for path in inputs if path is not None]
        check_read_once(read)
        if self.table is not None:
            tables.check_target(self.table)
        for file in self.confusion:
            matrix.check_target(file)
        files = [("--table", self.table)] if self.table else []
        for option, file in [*files, *(("--confusion", file) for file in self.confusion)]:
            check_regular(option, file)
            check_not_read(option, file, read)
            if file.exists() and not self.overwrite:
                raise UsageError(f"{file} exists", hint="add --overwrite to replace it")
            if not file.parent.is_dir():
                raise UsageError(f"{file}: there is no directory {file.parent}")
            check_place(option, file)

    def check_task(self, task: Task) -> None:
        """Refuse a confusion matrix of transcripts (UsageError)."""
        if task == "ctc" and self.confusion:
            raise UsageError(
                "a confusion matrix is of labels; these are transcripts", hint="drop --confusion"
            )

    def show(
        self,
        scores: dict[str, Any],
        as_lines: Callable[[dict[str, Any]], Iterator[str]],
        notes: Callable[[dict[str, Any]], Iterator[str]] = lambda _: iter(()),
    ) -> None:
        """Print scores in the form asked for, after what is to be told of them as messages."""
        if self.form == "json":
            write_stdout(dump(scores))
            return
        for note in notes(scores):
            log.info("%s", note)
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
            outputs.show(scores, lines, notes)
            outputs.write_confusion(report.confusion)
    return exit_code(report.scored, report.failed)

"""Result files: what `sew transcribe -f json`, `sew classify -f json` and `sew evaluate --table` wrote.

JSON Lines, one object an input, or a directory of files with one object each (`-o DIR`); "-" is standard
input. The table of `sew evaluate` holds the references too; for the others they come from a manifest.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from sewcli.errors import UsageError
from sewcli.evaluation.loss import Loss
from sewcli.evaluation.scores import Scored
from sewcli.inputs.faults import reason_of
from sewcli.inputs.manifest import Row, Task, plain_label
from sewcli.inputs.source import STDIN
from sewcli.inputs.standard_input import standard_input
from sewcli.json_files import one_line

#: what tells an input: its path, where in the file it begins, its channel, and how many such come before it
Key = tuple[str, float | None, int | None, int]
#: seconds: of two answers for one part, and of an answer and the row that asked for it
_SAME_LENGTH, _ALIKE = 1e-3, 0.05


@dataclass(frozen=True)
class Answer:
    """One object of a result file.

    Attributes:
        where: its file and line, for messages.
        task: what it is an answer to; None for a failed input.
        scored: what it says; the reference is "" where it holds none.
        has_reference: whether it holds one.
        error: why the input has failed, or None.
        turn: how many others of its path, offset and channel, which end elsewhere, come before it.
    """

    where: str
    task: Task | None
    scored: Scored
    has_reference: bool
    error: str | None = None
    turn: int = 0

    @property
    def key(self) -> Key:
        """What tells its input."""
        return self.scored.path, self.scored.offset, self.scored.channel, self.turn

    def repeats(self, other: Answer) -> bool:
        """Whether an answer of the same path, offset and channel is for the same part of the file."""
        if self.scored.offset is not None and (self.error or other.error):
            return False  # which says not where its part ends
        own, length = self.scored.duration, other.scored.duration
        return own is None or length is None or abs(own - length) < _SAME_LENGTH


def read_answers(path: Path) -> list[Answer]:
    """All answers of a result file, of the .json files of a directory or of standard input, in order.

    Raises:
        UsageError: it cannot be read, is empty, or a line is no answer or the second for its input.
    """
    if path.suffix == ".tsv":
        raise UsageError(
            f"{path}: a table in .tsv cannot be read again",
            hint="have it written as .jsonl: --table FILE.jsonl",
        )
    answers: list[Answer] = []
    parts: dict[tuple[str, float | None, int | None], list[Answer]] = {}
    for where, line in _lines(path):
        try:
            answer = _answer(where, json.loads(line))
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else reason_of(error)
            raise UsageError(
                f"{where}: not a result: {reason}",
                hint="results are what `sew transcribe -f json` or `sew evaluate --table FILE.jsonl` writes",
            ) from error
        before = parts.setdefault(answer.key[:3], [])
        if first := next(filter(answer.repeats, before), None):
            raise UsageError(f"{where}: a second result for {answer.scored.path}, after {first.where}")
        before.append(answer)
        answers.append(replace(answer, turn=len(before) - 1))
    if not answers:
        raise UsageError(f"{path} holds no result")
    return answers


def with_references(answers: Sequence[Answer], rows: Sequence[Row], task: Task) -> list[Answer | None]:
    """The answer to each row of a manifest, with the row's reference and set; None where there is none.

    An answer belongs to a row if both name the same file, the one seen from the working directory and
    the other from the manifest's; else if both spell its path alike, as after `--files-from MANIFEST`. Parts
    that begin alike are told apart by their lengths; what failed among them takes the places that are left.
    Where no row names a channel, all answers may be of one.
    """
    # what could not be opened tells no channel
    answered = {answer.scored.channel for answer in answers if answer.error is None}
    one_channel = len(answered) <= 1 and all(row.source.channel is None for row in rows)
    by_file: dict[tuple[str, float | None, int | None], list[Answer]] = {}
    by_name: dict[tuple[str, float | None, int | None], list[Answer]] = {}
    for answer in answers:
        path, offset, channel = answer.key[:3]
        channel = None if one_channel else channel
        by_file.setdefault((_real(path), offset, channel), []).append(answer)
        by_name.setdefault((path, offset, channel), []).append(answer)
    sources = [row.source for row in rows]
    keys = [(_real(one.file), one.part[0], one.channel) for one in sources]
    alike = Counter(keys)
    matched: list[Answer | None] = []
    for key, row in zip(keys, rows, strict=True):
        ours = by_file.get(key) or by_name.get((row.source.path, *key[1:])) or []
        if alike[key] > 1:
            found = _of_length(ours, row.source.duration)
        else:  # one that did not fail, where it was done again
            found = min(ours, key=lambda answer: answer.error is not None, default=None)
        if found is not None:
            reference = (row.text if task == "ctc" else row.label) or ""
            scored = replace(found.scored, reference=reference, set=row.set)
            found = replace(found, scored=scored, has_reference=True)
        matched.append(found)
    return matched


def _real(path: str | Path) -> str:
    """Where a path leads; one that no file can have is itself."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return str(path)


def _of_length(answers: list[Answer], seconds: float | None) -> Answer | None:
    """The answer to a part among those that begin alike, or the first that failed, which is taken out."""
    for answer in answers:
        length = answer.scored.duration
        if seconds is not None and length is not None and abs(length - seconds) < _ALIKE:
            return answer
    failed = next((answer for answer in answers if answer.error), None)
    if failed is not None:
        answers.remove(failed)
    return failed


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line that is not empty, and where it is."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    for file in files:
        try:
            with _opened(file) as stream:
                for number, line in enumerate(stream, start=1):
                    if line.strip():
                        yield f"{file}:{number}", line
        except OSError as error:
            raise UsageError(
                f"cannot read the results {file}: {error.strerror}", hint="check the path and its permissions"
            ) from error
        except UnicodeDecodeError as error:
            raise UsageError(f"cannot read the results {file}: not UTF-8 in byte {error.start}") from error


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    is_stdin = str(file) == STDIN
    text = io.TextIOWrapper(
        standard_input() if is_stdin else file.open("rb"), encoding="utf-8-sig", newline="\n"
    )
    try:
        yield text
    finally:
        text.detach() if is_stdin else text.close()


def _answer(where: str, fields: Any) -> Answer:
    if not isinstance(fields, dict):
        raise TypeError("not a JSON object")
    path, offset, channel = _typed(fields["path"], str), fields.get("offset"), fields.get("channel")
    if channel is not None:
        _typed(channel, int)
    if "error" in fields:
        message = _typed(fields["error"]["message"], str)
        failed = Scored("", "", "", path, offset, channel=channel)
        return Answer(where, None, failed, has_reference=False, error=message)
    task: Task = "ctc"
    if "labels" in fields or "answer" in fields:
        task, reference = "classification", fields.get("label")
        best = fields["labels"][0] if "labels" in fields else fields
        hypothesis, score = best["answer" if "answer" in fields else "label"], best.get("score")
    else:
        reference, score = fields.get("reference"), None
        hypothesis = fields["hypothesis"] if "hypothesis" in fields else fields["text"]
    shown = str if task == "ctc" else plain_label
    scored = Scored(
        reference=shown(_typed(reference, str)) if reference is not None else "",
        hypothesis=shown(_typed(hypothesis, str)),
        set=one_line(_typed(fields.get("set", ""), str)),
        path=path,
        offset=_number(offset),
        duration=_seconds(fields.get("duration")),
        loss=_loss(fields),
        network_seconds=_seconds(fields.get("network_seconds")),
        score=_number(score),
        channel=channel,
    )
    return Answer(where, task, scored, has_reference=reference is not None)


def _loss(fields: dict[str, Any]) -> Loss | None:
    if "loss" not in fields:
        return None
    return Loss(_number(fields["loss"]), _typed(fields.get("loss_problem", ""), str))


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not a {kind.__name__}")
    return value


def _number(value: Any) -> float | None:
    if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
        raise TypeError(f"{value!r} is not a number")
    return None if value is None else float(value)


def _seconds(value: Any) -> float | None:
    seconds = _number(value)
    if seconds is not None and seconds < 0:
        raise ValueError(f"{seconds:g} s is no length")
    return seconds

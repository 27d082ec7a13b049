"""The per-utterance table: one line an utterance, as TSV or as JSON Lines.

The JSON Lines can be scored and compared again; they hold reference and hypothesis as they were, so
that another normaliser may be chosen. Counts and alignment are those after normalising.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from sewcli.atomic import temporary_beside
from sewcli.errors import SewError, UsageError
from sewcli.evaluation.scores import Scored, WordScore
from sewcli.results import Failure
from sewcli.writers.jsonl import SCHEMA_VERSION, dump

FORMATS = (".tsv", ".jsonl")
_HEAD = ["path", "offset", "channel", "set", "duration"]
_EDITS = ["words", "substitutions", "deletions", "insertions"]
_COLUMNS = {
    "ctc": [
        *[*_HEAD, "reference", "hypothesis", "wer", "cer"],
        *[*_EDITS, "loss", "network_seconds", "alignment"],
    ],
    "classification": [*_HEAD, "label", "answer", "score", "correct", "network_seconds"],
}
_SEPARATORS = str.maketrans("\t\n\r", "   ")


class Table:
    """A table that grows by one line an utterance and is in its place when it is complete.

    Args:
        file: to write; its suffix tells the format.
        task: "ctc" or "classification".

    Where it cannot be written, the utterances are scored all the same: that is told at its end.

    Raises:
        SewError: it cannot be written; at its beginning and its end.
    """

    def __init__(self, file: Path, task: str) -> None:
        self._target = file
        self._temporary = temporary_beside(file)
        self._columns = _COLUMNS[task]
        self._tabbed = file.suffix.lower() == ".tsv"
        self._stream: BinaryIO | None = None
        self._failed: OSError | None = None

    def __enter__(self) -> Table:
        try:
            self._stream = self._temporary.open("xb")
        except OSError as error:
            raise self._error(error) from error
        if self._tabbed:
            self._write("\t".join(self._columns).encode() + b"\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._stream is not None  # since __enter__
        try:
            self._stream.close()
            if self._failed is None and kind is None:
                self._temporary.replace(self._target)
        except OSError as failed:
            self._failed = self._failed or failed
        finally:
            self._temporary.unlink(missing_ok=True)
        if self._failed is not None and kind is None:
            raise self._error(self._failed) from self._failed

    def add(self, utterance: Scored, score: WordScore | None) -> None:
        """Write the line of an utterance."""
        fields = as_object(utterance, score)
        if not self._tabbed:
            self._write(dump({"schema_version": SCHEMA_VERSION, **fields}))
            return
        cells = [_cell(fields.get(column)) for column in self._columns]
        self._write("\t".join(cells).encode("utf-8", "surrogateescape") + b"\n")

    def add_failure(self, failure: Failure, part: str) -> None:
        """Write the line of an input of set `part` that has failed; a TSV has none for it."""
        if not self._tabbed:
            row: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "path": failure.path, "set": part}
            row |= _place(failure.offset, failure.channel)
            self._write(dump(row | {"error": {"code": failure.code, "message": failure.message}}))

    def _write(self, line: bytes) -> None:
        assert self._stream is not None  # since __enter__
        if self._failed is None:
            try:
                self._stream.write(line)
            except OSError as error:
                self._failed = error

    def _error(self, error: OSError) -> SewError:
        return SewError(f"cannot write {self._target}: {error.strerror}", code="output")


def check_target(file: Path) -> None:
    """Refuse a file for the table whose suffix is no format (UsageError)."""
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"{file}: a table is written to a file that ends in .tsv or .jsonl")


def as_object(utterance: Scored, score: WordScore | None) -> dict[str, Any]:
    """The fields of an utterance; `score` is None for a label."""
    fields: dict[str, Any] = {"path": utterance.path, "set": utterance.set, "duration": utterance.duration}
    fields |= _place(utterance.offset, utterance.channel)
    if score is None:
        fields |= {
            "label": utterance.reference,
            "answer": utterance.hypothesis,
            "score": utterance.score,
            "correct": utterance.reference == utterance.hypothesis,
        }
    else:
        fields |= {
            "reference": utterance.reference,
            "hypothesis": utterance.hypothesis,
            "wer": score.words.rate,
            "cer": score.characters.rate,
            "words": score.words.length,
            "substitutions": score.words.substitutions,
            "deletions": score.words.deletions,
            "insertions": score.words.insertions,
            "alignment": score.alignment,
        }
    if utterance.loss is not None:
        value = utterance.loss.value
        fields["loss"] = None if value is None or math.isinf(value) else value
        if utterance.loss.problem:
            fields["loss_problem"] = utterance.loss.problem
    if utterance.network_seconds is not None:
        fields["network_seconds"] = round(utterance.network_seconds, 6)
    return fields


def _place(offset: float | None, channel: int | None) -> dict[str, Any]:
    """What of a file was read, where that is not all of it."""
    return {key: value for key, value in (("offset", offset), ("channel", channel)) if value is not None}


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return str(round(value, 6))
        case _:
            return str(value).translate(_SEPARATORS)

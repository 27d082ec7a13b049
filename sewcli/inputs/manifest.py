"""Manifests with references: what `sew train` learns from and `sew evaluate` scores against.

JSON Lines with `audio_filepath` (relative to the manifest), `text` or `label`, and optionally `set`, `offset`
and `duration` of a part of the file, and its `channel`.
"""

from __future__ import annotations

import json
import logging
import math
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from sewcli.errors import UsageError
from sewcli.inputs.faults import reason_of
from sewcli.inputs.lists import manifest_source
from sewcli.inputs.source import Source
from sewcli.json_files import check_writable, one_line

log = logging.getLogger("sewcli")

Task = Literal["ctc", "classification"]
#: what the rows of a manifest can be good for: a task, or detection, whose rows have events
Use = Literal["ctc", "classification", "detection"]

#: problems named one by one; the others are counted
NAMED = 20


def plain_label(label: str) -> str:
    """A label as it is compared: letters with marks composed (Unicode's NFC), no space around it."""
    return unicodedata.normalize("NFC", label).strip()


@dataclass(frozen=True)
class LabelSpan:
    """Where a keyword is said in a recording; start and end in seconds from the beginning of the file."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Row:
    """One line of a manifest.

    Attributes:
        source: its audio, and the text that is said in it.
        label: the class of the clip, or None.
        set: the part of the data it belongs to, or "".
        line: its number in the manifest, from 1.
        place: where it stands, as "train.jsonl:3"; "" where it is nothing but its file.
        seconds: the length the manifest gives the clip, or None.
        events: the keywords that are said in a long recording, or None where nothing is told.
        repeats: whether another row may have the same audio.
    """

    source: Source
    label: str | None = None
    set: str = ""
    line: int = 0
    place: str = ""
    seconds: float | None = None
    events: tuple[LabelSpan, ...] | None = None
    repeats: bool = False

    def __post_init__(self) -> None:
        """Labels that look the same are the same, however their letters with marks are written."""
        if self.label is not None:
            object.__setattr__(self, "label", plain_label(self.label))

    @property
    def audio(self) -> tuple[str, float, float | None, int | None]:
        """What tells its samples: file, offset, duration and channel."""
        source = self.source
        place = source.path if source.is_url else os.path.abspath(source.file)  # noqa: PTH100
        return place, source.offset, source.duration, source.channel

    @property
    def text(self) -> str | None:
        """What is said."""
        return self.source.text

    def told(self, message: str) -> str:
        """A message about it, after its place."""
        return f"{self.place}: {message}" if self.place else message


@dataclass(frozen=True)
class Problem:
    """A row that cannot be used.

    Attributes:
        line: of the manifest, from 1.
        code: "not_a_row", "no_reference", "empty_text", "duplicate", "no_audio" or "missing_file".
        message: what is wrong with it.
    """

    line: int
    code: str
    message: str


@dataclass
class Manifest:
    """The rows of a manifest and the problems found so far, both in order of the lines.

    Attributes:
        path: of the manifest.
        rows: that can be used.
        problems: of those that cannot.
        separator: between the path and the number of a row.
        names: what the fields of texts and labels may be called, by task; by default "text" and "label".
    """

    path: Path
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    separator: str = ":"
    names: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"ctc": ("text",), "classification": ("label",), "detection": ("events",)}
    )

    def place(self, line: int) -> str:
        """Where a row stands."""
        return f"{self.path}{self.separator}{line}"

    def bad(self, line: int, code: str, message: str) -> None:
        """Count a row that cannot be used."""
        self.problems.append(Problem(line, code, message))

    @property
    def task(self) -> Task:
        """What the rows are for, told by the first of them that has a label or a text."""
        told = next((row for row in self.rows if row.label is not None or row.text is not None), None)
        return "ctc" if told is None or told.label is None else "classification"

    def holds(self, task: Task) -> bool:
        """Whether there is a row for a task."""
        return any((row.text if task == "ctc" else row.label) is not None for row in self.rows)

    def check(self, task: Use, *, files: bool) -> None:
        """Move the rows that are no good for `task` to the problems.

        Those are rows without a reference, with an empty one, of 0 s, or with the audio of an earlier row.

        Args:
            task: "ctc" needs a text, "classification" a label, "detection" a list of
                events, which may be empty.
            files: look whether the audio files are there, too.
        """
        kept, seen = [], dict[tuple[Path, float, float | None, int | None], Row]()
        for row in self.rows:
            found = _trouble(row, task, self.names[task], files=files)
            source = row.source
            audio = (source.file, source.offset, source.duration, source.channel)
            if found is None and not row.repeats and seen.setdefault(audio, row) is not row:
                found = ("duplicate", f"{row.source.path} is in line {seen[audio].line} already")
            if found is None:
                kept.append(row)
            else:
                self.bad(row.line, *found)
        self.rows = kept
        self.problems.sort(key=lambda problem: problem.line)

    def settle(self, *, skip_bad: bool) -> list[Row]:
        """The rows, when every problem has been told.

        Args:
            skip_bad: log the problems as warnings and go on without these rows.

        Raises:
            UsageError: there are problems and they may not be skipped, or no row is left.
        """
        if self.problems:
            messages = [f"{self.place(problem.line)}: {problem.message}" for problem in self.problems]
            hint = _FORM if self.problems[0].code == "not_a_row" else "correct it"
            tell_bad(messages, skip_bad=skip_bad, hint=hint)
            log.warning("%s: %d bad rows left out, %d kept", self.path, len(self.problems), len(self.rows))
        if not self.rows:
            raise UsageError(
                f"the manifest {self.path} " + ("has no good row" if self.problems else "is empty")
            )
        return self.rows


def tell_bad(messages: Sequence[str], *, skip_bad: bool, hint: str = "correct it") -> None:
    """Tell of bad rows, of which there is at least one.

    Raises:
        UsageError: without `skip_bad`, else these are warnings; it has the first message.
    """
    if not skip_bad:
        more = len(messages) - 1
        others = f"; {more} more bad row{'s' if more > 1 else ''}" if more else ""
        raise UsageError(f"{messages[0]}{others}", hint=f"{hint}, or add --skip-bad")
    for message in listed(messages, len(messages)):
        log.warning("%s", message)


_FORM = 'write one line a clip: {"audio_filepath": "a.wav", "text": "HELLO"}'


def load_manifest(path: Path) -> Manifest:
    """Read a manifest; a line that is no row of one becomes a problem.

    Raises:
        UsageError: the file cannot be read.
    """
    manifest = Manifest(path)
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                    manifest.rows.append(_row(json.loads(text), manifest, number))
                except (ValueError, TypeError, OverflowError, RecursionError) as error:
                    manifest.bad(number, "not_a_row", f"not a row of a manifest: {reason_of(error)}")
    except OSError as error:
        raise UsageError(
            f"cannot read the manifest {path}: {error.strerror}", hint="check the path and its permissions"
        ) from error
    return manifest


def read_manifest(path: Path, *, task: Task | None = None, skip_bad: bool = False) -> list[Row]:
    """Rows of a manifest.

    Args:
        path: of the manifest.
        task: what the rows must be good for, their files being there (see `Manifest.check`); None takes
            every row as it is.
        skip_bad: leave bad rows out, each with a warning.

    Raises:
        UsageError: the file cannot be read or holds no row, or a row is bad; the message says which line.
    """
    manifest = load_manifest(path)
    if task is not None:
        manifest.check(task, files=True)
    return manifest.settle(skip_bad=skip_bad)


def listed(messages: Iterable[str], total: int) -> Iterator[str]:
    """The first `NAMED` of `total` messages, and one that counts the others."""
    yield from islice(messages, NAMED)
    if total > NAMED:
        yield f"... and {total - NAMED} more"


def _row(fields: object, manifest: Manifest, line: int) -> Row:
    if not isinstance(fields, dict):
        raise TypeError("not a JSON object")
    label, part = fields.get("label"), fields.get("set", "")
    if not isinstance(label, str | None) or not isinstance(part, str):
        raise TypeError('"label" or "set" is not a string')
    for text in (label, part, fields.get("text")):
        check_writable(text)
    seconds = fields.get("duration")
    source, events = manifest_source(fields, manifest.path.parent), _events(fields.get("events"))
    return Row(source, label, one_line(part), line, manifest.place(line), seconds, events)


def _events(value: object) -> tuple[LabelSpan, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError('"events" is not a list')
    return tuple(_event(entry) for entry in value)


def _event(entry: object) -> LabelSpan:
    if not isinstance(entry, dict):
        raise TypeError("an event is not a JSON object")
    label: Any = entry.get("label")
    start, end = (_plain_number(entry.get(key)) for key in ("start", "end"))
    if not isinstance(label, str) or start is None or end is None:
        raise TypeError('an event needs "label", a string, and "start" and "end", numbers of seconds')
    check_writable(label)
    if not 0 <= start < end < math.inf:
        raise ValueError(f"an event begins at {start} s and ends at {end} s")
    return LabelSpan(plain_label(label), start, end)


def _plain_number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _trouble(row: Row, task: Use, names: Sequence[str], *, files: bool) -> tuple[str, str] | None:
    """Code and message of what is wrong with a row, or None; `names` are those of its reference."""
    if task == "detection":
        reference = None if row.events is None else "told"
    else:
        reference = row.text if task == "ctc" else row.label
    if reference is None:
        why = ', and "events" are for sew evaluate --window' if row.events is not None else ""
        return "no_reference", f"{row.source.path} has no {' or '.join(map(json.dumps, names))}{why}"
    if not reference.strip():
        return "empty_text", f'{row.source.path}: its "{names[0]}" is empty'
    if row.seconds == 0:
        return "no_audio", f"{row.source.path}: 0 s of audio"
    if files and not row.source.is_url and not row.source.file.exists():
        return "missing_file", f"{row.source.path}: no such file"
    return None

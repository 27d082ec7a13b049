"""Where results go: what all places have in common, and standard output."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from sewcli.cli.output.apart import Names
from sewcli.cli.streams import write_stdout
from sewcli.errors import UsageError
from sewcli.inputs.source import Source
from sewcli.results import KeywordEvent, Transcript
from sewcli.writers import FORMATS, Format, Kind, Layout, Result, formats_for
from sewcli.writers.sctk import suffix_of

_log = logging.getLogger("sewcli")

HINT_OF_OUTPUT = "name a directory, or write one file with > FILE, without -o"


class Sink(Protocol):
    """Takes results in the order of the inputs.

    Attributes:
        source: the input of the last result that was written or could not be, where that is known.
    """

    source: Source | None

    def write(self, result: Result) -> None:
        """Write one result.

        Raises:
            InputError: this one cannot be written. SewError: nothing can.
        """

    def kept(self, done: int) -> str:
        """What is there of a run that is interrupted after so many inputs; "" where that is plain."""


def counted(done: int, total: int | None) -> str:
    """So many inputs of all of them are done, in words."""
    of_all = "" if total is None else f" of {total}"
    return f"{done}{of_all} {'input' if (total or done) == 1 else 'inputs'} done"


def chosen_formats(
    names: Sequence[str] | None, output: Path | None, kind: Kind = "transcript"
) -> list[Format]:
    """The formats of `-f`, or the default of the kind of results.

    Args:
        names: as given.
        output: the directory, or None for standard output.
        kind: what the results are.

    Raises:
        UsageError: an unknown format, or several without a directory to write them to.
    """
    known = formats_for(kind)
    wanted = list(dict.fromkeys(names or list(known)[:1]))
    for name in wanted:
        if name not in known:
            problem = "not for this command" if name in FORMATS else "unknown"
            raise UsageError(f"format {name!r} is {problem}", hint=f"one of {', '.join(known)}")
    if len(wanted) > 1 and output is None:
        raise UsageError("several formats need a directory", hint="add -o DIR")
    chosen = [known[name] for name in wanted]
    for form in chosen:
        if form.require is not None:
            form.require()
    return chosen


class StandardOutput:
    """One record after the other, each flushed, as bytes: nothing wraps or re-encodes them.

    Args:
        chosen: the format.
        layout: of the records.
        sources: the inputs.
        copies: temporary files of the inputs, closed at the end.
        total: how many inputs there are, where that is known.
    """

    #: inputs that an earlier run has done
    done_before = 0

    def __init__(
        self,
        chosen: Format,
        layout: Layout,
        sources: Iterable[Source],
        copies: ExitStack,
        total: int | None = None,
    ) -> None:
        self.total = total
        self._format = chosen
        self._copies = copies
        self._layout = layout
        self._sources = sources
        self._has_header = chosen.header is None
        self._under_way: deque[Source] = deque()
        self.source: Source | None = None
        self._names = Names(chosen.name) if chosen.by_name else None

    def __enter__(self) -> StandardOutput:
        return self

    def __exit__(self, *_error: object) -> None:
        self._copies.close()

    def pending(self, run: str) -> Iterator[Source]:  # noqa: ARG002 - nothing is remembered here
        """The inputs."""
        for source in self._sources:
            self._under_way.append(source)
            yield source

    def write(self, result: Result) -> None:
        """Write one result.

        Raises:
            ClosedPipe: nobody reads any more. SewError: it cannot be written. InputError: the format has
                another recording of its name.
        """
        if not isinstance(result, KeywordEvent):  # more of its input are to come
            self.source = self._under_way.popleft() if self._under_way else None
        if self._names is not None and isinstance(result, Transcript):
            self._names.take(result.path, suffix_of(result))
        if not self._has_header and self._format.header is not None:
            write_stdout(self._format.header(self._layout))
            self._has_header = True
        for piece in self._format.pieces(result, self._layout):
            write_stdout(piece)

    def kept(self, done: int) -> str:
        """See `Sink`; one input, such as a microphone, may have given events and be done when it is over."""
        return "" if self.total == 1 else counted(done, self.total)

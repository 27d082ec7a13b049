"""Where results go: standard output, or one file an input and format in a directory."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple, Protocol

from sewcli.atomic import Folders, write_whole
from sewcli.cli.output.apart import Names
from sewcli.cli.output.journal import LOCK, RESUMED, Journal, audio_fingerprint
from sewcli.cli.output.places import make_folder
from sewcli.cli.output.plan import Plan, Planned
from sewcli.cli.streams import write_stdout
from sewcli.errors import InputError, SewError, UsageError
from sewcli.inputs.source import Source
from sewcli.locking import check_free
from sewcli.pipeline.ahead import in_order
from sewcli.results import Failure, KeywordEvent, Transcript
from sewcli.writers import FORMATS, Format, Kind, Layout, Result, formats_for
from sewcli.writers.sctk import suffix_of

_log = logging.getLogger("sewcli")

HINT_OF_OUTPUT = "name a directory, or write one file with > FILE, without -o"
#: the name of one output file is at fault, not the place where all of them go
OF_ONE_FILE = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL)


#: threads that look inputs up in a journal: their audio is hashed, or its server is asked
_LOOKING = 4


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


class _UnderWay(NamedTuple):
    """An input whose result is awaited, with its files, and the hash of its audio where that is on record."""

    planned: Planned
    audio: str | None


class Directory:
    """One file an input and format, written under a temporary name and renamed when complete.

    Args:
        root: the directory; made if it is not there.
        formats: to write for each input.
        layout: of the files.
        planned: all inputs with their files.
        copies: temporary files of the inputs, closed at the end.
        resume: pass over inputs that the journal of the directory has as done, and keep it.
        replaces: files that exist may be replaced.

    Raises:
        UsageError: the directory cannot be made or written to, or another run with `resume` is at it.
    """

    def __init__(
        self,
        root: Path,
        formats: Sequence[Format],
        layout: Layout,
        planned: Plan,
        copies: ExitStack,
        *,
        resume: bool,
        replaces: bool,
    ) -> None:
        self._root = root
        self._folders = Folders()
        self._replaces = replaces
        self._copies = copies
        self._formats = formats
        self._layout = layout
        self._planned = planned
        self._under_way: deque[_UnderWay] = deque()
        self.source: Source | None = None
        self._run = ""
        self.done_before = 0
        self.total = len(planned)
        make_folder("-o", root, HINT_OF_OUTPUT)
        self._folders.make(root)
        try:
            self._journal = Journal(root) if resume else None
            if not resume:
                check_free(root / LOCK, RESUMED)
        except OSError as error:
            raise UsageError(
                f"-o {root}: cannot be written to: {error.strerror}",
                hint="choose a directory that is yours to write",
            ) from error

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_error: object) -> None:
        self._copies.close()
        if self._journal is not None:
            self._journal.close()

    def pending(self, run: str) -> Iterator[Source]:
        """The inputs that are left to do, each looked up in the journal a little before its turn.

        Args:
            run: the hash of the model, the settings and the layout.
        """
        self._run = run
        looked_up = in_order(self._planned, self._looked_up, workers=0 if self._journal is None else _LOOKING)
        with closing(looked_up):
            for one, is_done in looked_up:
                if is_done:
                    self.done_before += 1
                    continue
                self._under_way.append(one)
                yield one.planned.source
        if self.done_before:
            _log.info("%d of %d inputs were done before", self.done_before, len(self._planned))

    def _looked_up(self, one: Planned) -> tuple[_UnderWay, bool]:
        """An input, and whether it was done before."""
        if self._journal is None:
            return _UnderWay(one, None), False
        audio = audio_fingerprint(one.source)
        return _UnderWay(one, audio), audio is not None and self._journal.is_done(one, audio, self._run)

    def write(self, result: Result) -> None:
        """Write the files of one result; a failed input gets none.

        Raises:
            InputError: a file cannot have its name. SewError: nothing can be written any more.
        """
        one, audio = self._under_way.popleft()
        self.source = one.source
        if isinstance(result, Failure):
            return
        for form, target in zip(self._formats, one.targets, strict=True):
            header = b"" if form.header is None else form.header(self._layout)
            content = chain([header], form.pieces(result, self._layout))
            if not self._replaces and os.path.lexists(target):
                raise InputError(
                    f"{target} was written by another since this run began",
                    hint="it stays; --overwrite replaces it",
                    code="output",
                )
            try:
                self._folders.make(target.parent)
                self._write(target, content, is_journaled=audio is not None)
            except OSError as error:
                message = f"cannot write {target}: {error.strerror}"
                if error.errno in OF_ONE_FILE:
                    raise InputError(message, hint="see --output-template", code="output") from error
                go_on = "" if self._journal is None else ": go on with --resume"
                raise SewError(message, hint=f"what is written stays{go_on}", code="output") from error
        if self._journal is not None and audio is not None:
            try:
                self._journal.record(one.files, audio, self._run)
            except OSError as error:
                raise SewError(
                    f"cannot write the journal: {error.strerror}",
                    hint="what is written stays: go on with --resume",
                    code="output",
                ) from error

    def _write(self, target: Path, content: Iterable[bytes], *, is_journaled: bool) -> None:
        """Write a file; one that a user has changed, or another program has written, goes beside it."""
        is_foreign = is_journaled and self._journal is not None and self._journal.is_foreign(target)
        kept = _free(target) if is_foreign else None
        if write_whole(target, content, keep=kept):
            _log.warning("%s was not as an earlier run had left it; that file is kept as %s", target, kept)

    def kept(self, done: int) -> str:
        """See `Sink`; only what a journal has is known to the next run."""
        told = f"{counted(self.done_before + done, self.total)}, kept in {self._root}"
        return told if self._journal is None else f"{told}; go on with --resume"


def _free(target: Path) -> Path:
    """A name beside a file that is not taken: FILE~, or else FILE~2 and so on."""
    names = chain([f"{target.name}~"], (f"{target.name}~{number}" for number in count(2)))
    return next(place for place in map(target.with_name, names) if not os.path.lexists(place))

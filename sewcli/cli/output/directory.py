"""Results as files: one an input and format in a directory, written under a temporary name and renamed."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from sewcli.atomic import Folders, write_whole
from sewcli.cli.output.journal import LOCK, LOOKING, RESUMED, Journal, audio_fingerprint
from sewcli.cli.output.places import make_folder
from sewcli.cli.output.plan import Plan
from sewcli.cli.output.planned import Planned
from sewcli.cli.output.sinks import HINT_OF_OUTPUT, counted
from sewcli.errors import InputError, SewError, UsageError
from sewcli.inputs.source import Source
from sewcli.locking import check_free
from sewcli.pipeline.ahead import mapped_ahead
from sewcli.results import Failure
from sewcli.writers import Format, Layout, Result

_log = logging.getLogger("sewcli")

#: the name of one output file is at fault, not the place where all of them go
OF_ONE_FILE = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL)


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
        looked_up = mapped_ahead(
            self._planned, self._looked_up, workers=0 if self._journal is None else LOOKING
        )
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
                self._write(target, content, one.source, audio)
            except OSError as error:
                message = f"cannot write {target}: {error.strerror}"
                if error.errno in OF_ONE_FILE:
                    raise InputError(message, hint="see --output-template", code="output") from error
                go_on = "" if self._journal is None else ": go on with --resume"
                raise SewError(message, hint=f"what is written stays{go_on}", code="output") from error
        if self._journal is not None and audio is not None:
            try:
                self._journal.record(one.files, one.source, audio, self._run)
            except OSError as error:
                raise SewError(
                    f"cannot write the journal: {error.strerror}",
                    hint="what is written stays: go on with --resume",
                    code="output",
                ) from error

    def _write(self, target: Path, content: Iterable[bytes], source: Source, audio: str | None) -> None:
        """Write a file; one that is not of an earlier run over the same input goes beside it.

        Args:
            target: the file.
            content: of it.
            source: the input.
            audio: its fingerprint; None where the journal cannot tell of it.
        """
        objection = None
        if audio is not None and self._journal is not None:
            objection = self._journal.objection(target, source, audio)
        kept = None if objection is None else _free(target)
        if write_whole(target, content, keep=kept):
            _log.warning("%s %s; that file is kept as %s", target, objection, kept)

    def kept(self, done: int) -> str:
        """See `Sink`; only what a journal has is known to the next run."""
        told = f"{counted(self.done_before + done, self.total)}, kept in {self._root}"
        return told if self._journal is None else f"{told}; go on with --resume"


def _free(target: Path) -> Path:
    """A name beside a file that is not taken: FILE~, or else FILE~2 and so on."""
    names = chain([f"{target.name}~"], (f"{target.name}~{number}" for number in count(2)))
    return next(place for place in map(target.with_name, names) if not os.path.lexists(place))

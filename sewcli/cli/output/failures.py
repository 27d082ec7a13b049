"""The file of --failures: the inputs that failed, one JSON object a line, each written when it is known."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sewcli.atomic import RESERVED
from sewcli.cli.output.collisions import place_of
from sewcli.cli.output.places import check_file, check_not_read, check_place
from sewcli.cli.output.planned import Planned
from sewcli.errors import SewError, UsageError
from sewcli.inputs.source import STDIN
from sewcli.results import Failure
from sewcli.writers.jsonl import as_object, dump

#: bytes of a failure with its row of a manifest
_LONGEST_LINE = 1 << 20


def check_failures(
    file: Path | None, inputs: Iterable[Path], directory: Path | None, *, overwrite: bool
) -> None:
    """Refuse a file that is an input, holds something else, or cannot be written (UsageError).

    Args:
        file: to write, or None.
        inputs: what is read.
        directory: of the output, which need not be there yet.
        overwrite: whether it may hold something else than failures.
    """
    if file is None:
        return
    if str(file) == STDIN:
        raise UsageError(
            "--failures -: a file is needed; standard output has the results",
            hint="name one, or /dev/stderr",
        )
    check_file("--failures", file)
    check_not_read("--failures", file, inputs)
    if file.name.startswith(RESERVED):
        raise UsageError(
            f"--failures {file}: names in {RESERVED}* are for runs with -o", hint="choose another"
        )
    if not overwrite and _stream(file) is None and file.is_file() and not _is_list(file):
        raise UsageError(
            f"--failures {file}: is there, and is no list of failures",
            hint="choose another file, or add --overwrite",
        )
    is_special = file.exists() and not file.is_file()  # a pipe or a device
    if not is_special and (file.parent != directory or file.parent.exists()):
        check_place("--failures", file)


def _is_list(file: Path) -> bool:
    """Whether a file is empty, or every line of it is a failure."""
    try:
        with file.open("rb") as stream:
            while line := stream.readline(_LONGEST_LINE):
                if "code" not in json.loads(line)["error"]:
                    return False
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return False
    return True


def check_not_output(file: Path | None, planned: Iterable[Planned]) -> None:
    """Refuse a file that an input's output will be (UsageError)."""
    if file is None:
        return
    place = place_of(file)
    if any(place_of(target) == place for one in planned for target in one.files):
        raise UsageError(f"--failures {file} is an output of this run", hint="choose another file")


class FailureList:
    """Writes failures to a file, if there is one; what was in it is gone when the run begins.

    Args:
        file: where to; None for nowhere.
    """

    def __init__(self, file: Path | None) -> None:
        self._path = file
        self._file: int | None = None

    def __enter__(self) -> FailureList:
        if self._path is not None:
            try:
                self._file = _opened(self._path)
            except OSError as error:
                raise self._unwritable(error) from error
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def add(self, failure: Failure) -> None:
        """Write one (SewError where that cannot be)."""
        if self._file is not None:
            # no name at all for what was no file, which a list that is read again passes over
            line = dump(as_object(failure) | dict(failure.row or {"audio_filepath": None}))
            try:
                while line:
                    line = line[os.write(self._file, line) :]
            except OSError as error:
                raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> SewError:
        return SewError(f"--failures {self._path}: cannot be written: {error.strerror}", code="output")


def _opened(file: Path) -> int:
    """A descriptor to write to, the file emptied.

    What /dev/stdout and /dev/stderr name is written to where it is, behind what is there: a second opening
    would have a place of its own in the same file.
    """
    stream = _stream(file)
    if stream is not None:
        return os.dup(stream)
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)


def _stream(file: Path) -> int | None:
    """Standard output or error, where a file is one of them."""
    for stream in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.fstat(stream), file.stat()):
                return stream
    return None

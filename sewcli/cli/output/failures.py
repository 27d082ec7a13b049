"""The file of --failures: the inputs that failed, one JSON object a line, each written when it is known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from sewcli.cli.output.places import check_file, check_not_read, check_place
from sewcli.errors import SewError
from sewcli.results import Failure
from sewcli.writers.jsonl import as_object, dump


def check_failures(file: Path | None, inputs: Iterable[Path]) -> None:
    """Refuse a file that is an input, or cannot be written (UsageError)."""
    if file is None:
        return
    check_file("--failures", file)
    check_not_read("--failures", file, inputs)
    if file.is_file() or not file.exists():  # neither a pipe nor a device
        check_place("--failures", file)


class FailureList:
    """Writes failures to a file, if there is one; what was in it is gone when the run begins.

    Args:
        file: where to; None for nowhere.
    """

    def __init__(self, file: Path | None) -> None:
        self._path = file
        self._file: BinaryIO | None = None

    def __enter__(self) -> FailureList:
        if self._path is not None:
            try:
                self._file = self._path.open("wb", buffering=0)
            except OSError as error:
                raise self._unwritable(error) from error
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, failure: Failure) -> None:
        """Write one (SewError where that cannot be)."""
        if self._file is not None:
            line = dump(as_object(failure))
            try:
                while line:
                    line = line[self._file.write(line) :]
            except OSError as error:
                raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> SewError:
        return SewError(f"--failures {self._path}: cannot be written: {error.strerror}", code="output")

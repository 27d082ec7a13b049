"""`sew embed --stack`: one row an input, all in one file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sewcli.atomic import check_writable, write_whole
from sewcli.cli.output.places import check_regular
from sewcli.cli.output.sinks import counted
from sewcli.errors import SewError, UsageError
from sewcli.inputs.source import Source
from sewcli.results import Embedding
from sewcli.writers import Result, arrays, jsonl

_EXTENSIONS = (".npy", ".npz", ".safetensors")
#: what differs from input to input
_OF_ONE_INPUT = ("path", "duration", "offset", "channel")


class StackFile:
    """Collects pooled states in a temporary file and writes them at the end; failed inputs have no row.

    Args:
        file: its extension says the format; for .npy the metadata goes to a .json of the same name.
        sources: the inputs.
        copies: temporary files of the inputs, closed at the end.
        overwrite: replace files that exist.

    Raises:
        UsageError: another extension, a file that exists, or a place that cannot be written to.
    """

    #: inputs that an earlier run has done
    done_before = 0

    def __init__(self, file: Path, sources: Iterable[Source], copies: ExitStack, *, overwrite: bool) -> None:
        if file.suffix not in _EXTENSIONS:
            raise UsageError(f"--stack {file}: no such format", hint=f"end it in {', '.join(_EXTENSIONS)}")
        self._file = file
        self._beside = file.with_suffix(".json") if file.suffix == ".npy" else None
        for target in filter(None, (file, self._beside)):
            check_regular("--stack", target)
            if os.path.lexists(target) and not overwrite:
                raise UsageError(f"{target} exists", hint="add --overwrite to replace it")
        try:
            check_writable(file.parent)
        except OSError as error:
            raise UsageError(f"--stack {file}: cannot be written to: {error.strerror}") from error
        self._sources = sources
        self._copies = copies
        self._rows: Any = None
        self._inputs: list[dict[str, Any]] = []
        self._shared: dict[str, Any] = {}

    #: how many inputs there are is not known
    total = None
    #: no result of it fails alone
    source: Source | None = None

    def __enter__(self) -> StackFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._copies.close()
        if self._rows is not None:
            try:
                if kind is None:
                    self._finish()
            finally:
                self._rows.close()

    def pending(self, run: str) -> Iterator[Source]:  # noqa: ARG002 - nothing is remembered here
        """The inputs."""
        return iter(self._sources)

    def write(self, result: Result) -> None:
        """Take in the row of one input (SewError where there is no room for it)."""
        if not isinstance(result, Embedding):
            return
        if self._rows is None:
            from sewcli.decoding.frames import FrameFile

            self._rows = FrameFile(result.states.size, error=SewError)
        self._rows.append(result.states[None])
        content = jsonl.as_object(result)
        self._inputs.append({key: content.pop(key) for key in _OF_ONE_INPUT if key in content})
        self._shared = content

    def kept(self, done: int) -> str:
        """See `sewcli.cli.output.sinks.Sink`."""
        return f"{counted(done, self.total)}, but {self._file} is written at the end"

    def _finish(self) -> None:
        states = self._rows.mapped()
        metadata = self._shared | {"shape": list(states.shape), "inputs": self._inputs}
        try:
            if self._beside is not None:
                write_whole(self._beside, jsonl.dump(metadata))
                write_whole(self._file, arrays.npy(states))
            elif self._file.suffix == ".npz":
                write_whole(self._file, arrays.npz({"states": states}, metadata))
            else:
                write_whole(self._file, arrays.safetensors({"states": states}, metadata))
        except OSError as error:
            raise SewError(f"cannot write {self._file}: {error.strerror}", code="output") from error

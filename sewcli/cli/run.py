"""What transcribe and classify have in common, between the parsing and the pipeline.

Each class holds one group of options as the user gave them and turns it into what it stands for.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sewcli.acoustic.checkpoint import declared_task
from sewcli.chunking import ChunkPlan
from sewcli.cli.console import Progress, report_failure
from sewcli.cli.output import Directory, Result, Sink, StandardOutput, chosen_formats
from sewcli.errors import EXIT_ALL_FAILED, EXIT_OK, EXIT_SOME_FAILED, UsageError
from sewcli.hub import LocalModel, fetch, set_offline
from sewcli.registry import load_registry, resolve
from sewcli.results import Failure, ModelInfo
from sewcli.sources import Source, check, expand, is_folder

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel
    from sewcli.writers import Format

#: padded audio in one batch on a GPU; on a CPU every chunk runs alone, which is no slower
GPU_BATCH_SECONDS = 240.0


@dataclass(frozen=True)
class InputOptions:
    """What to read."""

    inputs: Sequence[str]
    files_from: str | None
    null_separated: bool

    def check(self) -> None:
        """Refuse lists of inputs that cannot work, before a model is loaded (UsageError)."""
        check(self.inputs, self.files_from)

    def sources(self) -> Iterator[Source]:
        """The inputs, in order."""
        return expand(self.inputs, files_from=self.files_from, null_separated=self.null_separated)

    @property
    def one_file(self) -> bool:
        """Whether there can be only one result."""
        return self.files_from is None and len(self.inputs) == 1 and not is_folder(self.inputs[0])


@dataclass(frozen=True)
class OutputOptions:
    """How and where to write."""

    formats: Sequence[str] | None
    directory: Path | None
    overwrite: bool
    with_path: bool
    no_path: bool

    @property
    def chosen(self) -> list[Format]:
        """The formats (UsageError where several have no directory)."""
        return chosen_formats(self.formats, self.directory)

    def sink(self, inputs: InputOptions) -> tuple[Sink, Iterable[Source]]:
        """Where results go, and the inputs.

        For a directory all inputs are listed first, once: collisions are found before anything runs,
        and a list that comes through a pipe cannot be read again.

        Raises:
            UsageError: output files collide or exist.
        """
        if self.directory is None:
            with_path = self.with_path or not (self.no_path or inputs.one_file)
            return StandardOutput(self.chosen[0], with_path=with_path), inputs.sources()
        sources = list(inputs.sources())
        return Directory(self.directory, self.chosen, sources, overwrite=self.overwrite), sources


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and where it runs."""

    name: str | None
    revision: str | None
    device: str
    dtype: str
    threads: int | None
    engine: str
    offline: bool

    def fetch(self, task: str, *, progress: bool) -> LocalModel:
        """The files of the model named, or of the default for `task`.

        SEW_MODEL counts where the task of the model it names is the command's; a directory tells its
        task by the architecture in its config.json.
        """
        if self.offline:
            set_offline()
        registry = load_registry()
        named = os.environ.get("SEW_MODEL")
        if self.name is None and named:
            spec = resolve(named, registry=registry, revision=self.revision)
            if spec.task in (None, task):
                local = fetch(spec, offline=self.offline, progress=progress)
                if declared_task(local.directory) in (None, task):
                    return local
        name = self.name if self.name is not None else registry.default_model(task).name
        spec = resolve(name, registry=registry, revision=self.revision)
        return fetch(spec, offline=self.offline, progress=progress)

    def load(self, local: LocalModel, task: str) -> RunningModel:
        """The network."""
        from sewcli.acoustic.load import load_model

        return load_model(
            local, task, engine=self.engine, device=self.device, dtype=self.dtype, threads=self.threads
        )


def model_info(local: LocalModel) -> ModelInfo:
    """How results name the model."""
    return ModelInfo(local.spec.name, local.revision)


def chunk_plan(chunk: float, stride: float) -> ChunkPlan:
    """The plan for chunks and strides in seconds (UsageError where they cannot work)."""
    try:
        return ChunkPlan.from_seconds(chunk, stride)
    except ValueError as error:
        raise UsageError(
            f"--chunk {chunk:g} --stride {stride:g}: {error}",
            hint="for example --chunk 20 --stride 1",
        ) from error


def batch_seconds(wanted: float | None, model: RunningModel) -> float:
    """The batch size asked for, or the one that suits the device."""
    if wanted is not None:
        if not math.isfinite(wanted):
            raise UsageError(f"--batch-seconds {wanted}: not a number of seconds")
        return wanted
    return 0.0 if model.device == "cpu" else GPU_BATCH_SECONDS


def finish(results: Iterator[Result], sink: Sink, progress: Progress) -> int:
    """Write all results, report failures as they come; the exit code that tells how it went."""
    done = failed = 0
    with progress:
        for result in results:
            if isinstance(result, Failure):
                failed += 1
                progress.pause()
                report_failure(result)
            else:
                done += 1
                progress.advance(result)
            sink.write(result)
    if failed:
        return EXIT_SOME_FAILED if done else EXIT_ALL_FAILED
    return EXIT_OK


def set_up_messages(*, quiet: bool) -> None:
    """Send the project's own log messages to standard error, one line each."""
    logger = logging.getLogger("sewcli")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("sew: %(message)s"))
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.ERROR if quiet else logging.INFO)

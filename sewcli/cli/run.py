"""What transcribe and classify have in common, between the parsing and the pipeline.

Each class holds one group of options as the user gave them and turns it into what it stands for.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sewcli.acoustic.checkpoint import declared_task
from sewcli.chunking import ChunkPlan
from sewcli.cli.console import Progress, report_failure
from sewcli.cli.journal import not_done, run_fingerprint
from sewcli.cli.output import Directory, Sink, StandardOutput, chosen_formats
from sewcli.cli.targets import Planned, Template, plan
from sewcli.errors import EXIT_ALL_FAILED, EXIT_OK, EXIT_SOME_FAILED, InputError, UsageError
from sewcli.hub import LocalModel, fetch, set_offline
from sewcli.parts import Window
from sewcli.registry import load_registry, resolve
from sewcli.results import Failure, ModelInfo
from sewcli.selection import Selection
from sewcli.sources import Source, check, expand, is_folder
from sewcli.subtitles import Shape
from sewcli.writers import Layout, Result

if TYPE_CHECKING:
    from sewcli.acoustic.reference import TransformersModel
    from sewcli.writers import Format

#: padded audio in one batch on a GPU; on a CPU every chunk runs alone, which is no slower
GPU_BATCH_SECONDS = 240.0


@dataclass(frozen=True)
class InputOptions:
    """What to read."""

    inputs: Sequence[str]
    files_from: str | None
    null_separated: bool
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    channel: str = "mix"

    def check(self) -> None:
        """Refuse inputs that cannot work, before a model is loaded (UsageError)."""
        if self.channel not in ("mix", "split") and not self._one_channel:
            raise UsageError(
                f"--channel {self.channel}: no channel", hint="give mix, split, or a number from 0"
            )
        Window.parse(self.start, self.end)
        check(self.inputs, self.files_from, self._selection)

    def sources(self) -> Iterator[Source]:
        """The inputs, in order."""
        named = expand(
            self.inputs,
            files_from=self.files_from,
            null_separated=self.null_separated,
            selection=self._selection,
        )
        parts = Window.parse(self.start, self.end).cut(named)
        if self.channel == "split":
            from sewcli.audio import channels_apart

            return channels_apart(parts)
        if self._one_channel:
            return (replace(part, channel=int(self.channel)) for part in parts)
        return parts

    @property
    def _selection(self) -> Selection:
        return Selection(self.include, self.exclude)

    @property
    def _one_channel(self) -> bool:
        return self.channel.isascii() and self.channel.isdigit()

    @property
    def one_file(self) -> bool:
        """Whether there can be only one result."""
        one_input = self.files_from is None and len(self.inputs) == 1 and not is_folder(self.inputs[0])
        return one_input and self.channel != "split"


@dataclass(frozen=True)
class OutputOptions:
    """How and where to write."""

    formats: Sequence[str] | None
    directory: Path | None
    template: str | None
    overwrite: bool
    resume: bool
    with_path: bool
    no_path: bool
    for_labels: bool = False
    shape: Shape = field(default_factory=Shape)

    @property
    def chosen(self) -> list[Format]:
        """The formats (UsageError where several have no directory)."""
        return chosen_formats(self.formats, self.directory, for_labels=self.for_labels)

    def check(self) -> None:
        """Refuse options that do not go together (UsageError)."""
        for option, given in (("--resume", self.resume), ("--output-template", self.template)):
            if given and self.directory is None:
                raise UsageError(f"{option} needs a directory", hint="add -o DIR")
        if not (math.isfinite(self.shape.max_gap) and math.isfinite(self.shape.max_duration)):
            raise UsageError("--max-gap and --max-duration are numbers of seconds")

    def times(self, wanted: str | None) -> str:
        """The timestamps asked for, or those that the formats hold (UsageError where they need more)."""
        for form in self.chosen:
            if wanted == "none" and form.times == "needed":
                raise UsageError(
                    f"format {form.name!r} needs the times of words", hint="leave out --timestamps none"
                )
        if wanted is not None:
            return wanted
        return "none" if all(form.times == "unused" for form in self.chosen) else "word"

    def layout(self, inputs: InputOptions) -> Layout:
        """How results are written."""
        asked = self.with_path or not (self.no_path or inputs.one_file)
        return Layout(with_path=asked and self.directory is None, shape=self.shape)

    def plan(self, inputs: InputOptions) -> list[Planned]:
        """All inputs with their files.

        They are listed first, once: collisions are found before anything runs, and a list that comes
        through a pipe cannot be read again.

        Raises:
            UsageError: output files collide or exist.
        """
        assert self.directory is not None
        return plan(
            self.directory,
            inputs.sources(),
            self.chosen,
            Template() if self.template is None else Template(self.template),
            replace=self.overwrite or self.resume,
        )

    def open(self, inputs: InputOptions) -> StandardOutput | Directory:
        """Where results go.

        Raises:
            UsageError: output files collide or exist, the directory cannot be written to, or the format
                has one file an input and standard output would get several.
        """
        if self.directory is not None:
            layout, planned = self.layout(inputs), self.plan(inputs)
            return Directory(self.directory, self.chosen, layout, planned, resume=self.resume)
        [form] = self.chosen
        if not (form.joins or inputs.one_file):
            raise UsageError(f"format {form.name!r} has one file for each input", hint="add -o DIR")
        return StandardOutput(form, self.layout(inputs), inputs.sources())

    def fingerprint(self, local: LocalModel, settings: Mapping[str, Any]) -> str:
        """A hash of all that can change the content of a file; "" where nothing is remembered."""
        if not self.resume:
            return ""
        model = {"id": local.spec.name, "revision": local.revision}
        content = {"model": model, "settings": dict(settings), "cues": asdict(self.shape)}
        return run_fingerprint(content, local.directory)

    def dry_run(self, inputs: InputOptions, run: str = "") -> int:
        """Print what a run would do; the exit code.

        Args:
            inputs: what to read.
            run: the fingerprint, with --resume.
        """
        from sewcli.cli.dry_run import dry_run

        if self.directory is None:
            return dry_run(Planned(source, ()) for source in inputs.sources())
        planned = self.plan(inputs)
        return dry_run(not_done(self.directory, planned, run) if self.resume else planned)


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and where it runs."""

    name: str | None
    revision: str | None
    device: str
    dtype: str
    threads: int | None
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

    def load(self, local: LocalModel, task: str) -> TransformersModel:
        """The network."""
        from sewcli.acoustic.reference import load_model

        return load_model(local, task, device=self.device, dtype=self.dtype, threads=self.threads)


def model_info(local: LocalModel) -> ModelInfo:
    """How results name the model."""
    return ModelInfo(local.spec.name, local.revision, local.spec.language)


def chunk_plan(chunk: float, stride: float) -> ChunkPlan:
    """The plan for chunks and strides in seconds (UsageError where they cannot work)."""
    try:
        return ChunkPlan.from_seconds(chunk, stride)
    except ValueError as error:
        raise UsageError(
            f"--chunk {chunk:g} --stride {stride:g}: {error}",
            hint="for example --chunk 20 --stride 1",
        ) from error


def batch_seconds(wanted: float | None, model: TransformersModel) -> float:
    """The batch size asked for, or the one that suits the device."""
    if wanted is not None:
        if not math.isfinite(wanted):
            raise UsageError(f"--batch-seconds {wanted}: not a number of seconds")
        return wanted
    return 0.0 if model.device == "cpu" else GPU_BATCH_SECONDS


def write_all(results: Iterator[Result], output: StandardOutput | Directory, progress: Progress) -> int:
    """Write all results to where they go and close that; the exit code."""
    with output:
        code = finish(results, output, progress)
    return EXIT_SOME_FAILED if code == EXIT_ALL_FAILED and output.done_before else code


def finish(results: Iterator[Result], sink: Sink, progress: Progress) -> int:
    """Write all results, report failures as they come; the exit code that tells how it went."""
    done = failed = 0
    with progress:
        for result in results:
            failure = _written(result, sink)
            if failure is not None:
                failed += 1
                progress.pause()
                report_failure(failure)
            elif not isinstance(result, Failure):
                done += 1
                progress.advance(result)
    if failed:
        return EXIT_SOME_FAILED if done else EXIT_ALL_FAILED
    return EXIT_OK


def _written(result: Result, sink: Sink) -> Failure | None:
    """Write a result; what has failed, in the input or in the writing of its files."""
    try:
        sink.write(result)
    except InputError as error:
        return Failure(result.path, error.code, str(error), result.channel)
    return result if isinstance(result, Failure) else None


def set_up_messages(*, quiet: bool) -> None:
    """Send the project's own log messages to standard error, one line each."""
    logger = logging.getLogger("sewcli")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("sew: %(message)s"))
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.ERROR if quiet else logging.INFO)

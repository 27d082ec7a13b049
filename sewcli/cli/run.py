"""What commands have in common between the parsing and the pipeline: model, chunks, messages, exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from sewcli.acoustic.checkpoint import declared_task
from sewcli.chunking import ChunkPlan
from sewcli.cli import garbage
from sewcli.cli.console import Progress, report_failure
from sewcli.cli.ended import ended
from sewcli.cli.loading import ending_at_once
from sewcli.cli.output.failures import FailureList
from sewcli.cli.output.sinks import Directory, Sink, StandardOutput
from sewcli.cli.output.stack import StackFile
from sewcli.cli.preferred import PreferredModel, likely_model
from sewcli.decoding.tally import Tally
from sewcli.errors import EXIT_ALL_FAILED, EXIT_OK, EXIT_SOME_FAILED, InputError, SewError, UsageError
from sewcli.hub.fetching import LocalModel, fetch
from sewcli.hub.offline import set_offline
from sewcli.inputs.manifest import Task
from sewcli.model_defaults import OptionDefaults
from sewcli.registry import load_registry, resolve
from sewcli.results import Failure, KeywordEvent, Transcript
from sewcli.temporary import remove_left, tell_other_place, temporary_directory
from sewcli.writers import Result

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel


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
    compile: bool = False

    def defaults(self, task: str) -> OptionDefaults:
        """Of the options, as far as they are known before the model is fetched, which tells what is wrong."""
        try:
            return likely_model(self.name, task, self.revision).defaults_for(task)
        except SewError:
            return OptionDefaults()

    def own_task(self) -> Task | None:
        """What rows the model that the command line names can answer, as far as that is known so far."""
        if self.name is None or isinstance(self.name, PreferredModel):
            return None
        try:
            spec = likely_model(self.name, "ctc", self.revision)
            found = spec.task or (None if spec.path is None else declared_task(spec.path))
        except SewError:  # what is wrong with it is told when it is fetched
            return None
        return next((task for task in get_args(Task) if task == found), None)

    def check(self, task: str) -> None:
        """Refuse a name that means no model (ModelError), and a device that is named and cannot be used.

        That is before the inputs are listed, which takes long for millions.
        """
        likely_model(self.name, task, self.revision)
        if self.device not in ("auto", "cpu"):
            with ending_at_once():
                from sewcli.acoustic.load import find_device

                find_device(self.device)

    def fetch(self, task: str, *, progress: bool) -> LocalModel:
        """The files of the model named, or of the default for `task`.

        One that the environment or a file names counts where its task is the command's; a directory tells
        its task by the architecture in its config.json.
        """
        if self.offline:
            set_offline()
        registry = load_registry()
        name = self.name
        if isinstance(name, PreferredModel):
            spec = resolve(name, registry=registry, revision=self.revision)
            # any model has hidden states
            if task == "features" or spec.task in (None, task):
                local = fetch(spec, offline=self.offline, progress=progress)
                if task == "features" or declared_task(local.directory) in (None, task):
                    return local
            name = None
        if name is None:
            name = registry.default_model(task).name
        spec = resolve(name, registry=registry, revision=self.revision)
        return fetch(spec, offline=self.offline, progress=progress)

    def load(self, local: LocalModel, task: str) -> RunningModel:
        """The network."""
        with ending_at_once():
            from sewcli.acoustic.load import load_model

            network = load_model(
                local,
                task,
                engine=self.engine,
                device=self.device,
                dtype=self.dtype,
                threads=self.threads,
                compiled=self.compile,
            )
        garbage.as_usual()
        return network


def chunk_plan(chunk: float | None, stride: float | None, defaults: OptionDefaults) -> ChunkPlan:
    """The plan for chunks and strides in seconds (UsageError where they cannot work).

    Args:
        chunk, stride: as given, or None.
        defaults: of the model.
    """
    chunk, stride = defaults.chunk_seconds(chunk, stride)
    try:
        return ChunkPlan.from_seconds(chunk, stride)
    except ValueError as error:
        raise UsageError(
            f"--chunk {chunk:g} --stride {stride:g}: {error}",
            hint="for example --chunk 20 --stride 1",
        ) from error


def unpacked(context: Any, path: Path) -> Path:
    """A directory for the clips of a saved data set, which goes with the command; a manifest needs none."""
    return context.with_resource(temporary_directory()) if path.is_dir() else path


def tell_hotwords(results: Iterator[Transcript | Failure]) -> Iterator[Transcript | Failure]:
    """The results as they come; at their end a message on how often each hotword was found."""
    tally = Tally()
    with ended(results):
        for result in results:
            if isinstance(result, Transcript):
                tally.add(result.hotwords)
            yield result
    tally.report()


def write_all(
    results: Iterator[Result],
    output: StandardOutput | Directory | StackFile,
    progress: Progress,
    failures: Path | None = None,
) -> int:
    """Write all results to where they go, and failures to a file as well; close these; the exit code."""
    with output, FailureList(failures) as failed:
        code = finish(results, output, progress, failed)
    return EXIT_SOME_FAILED if code == EXIT_ALL_FAILED and output.done_before else code


def finish(results: Iterator[Result], sink: Sink, progress: Progress, failures: FailureList) -> int:
    """Write all results, report failures as they come; the exit code that tells how it went.

    Raises:
        KeyboardInterrupt: with what is there of the run.
    """
    done = failed = 0
    try:
        with progress, ended(results):
            for result in results:
                progress.make_room()
                failure = _written(result, sink)
                if failure is not None:
                    failed += 1
                    progress.fail()
                    report_failure(failure)
                    failures.add(failure)
                elif not isinstance(result, Failure | KeywordEvent):
                    done += 1
                    progress.advance(result)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(sink.kept(done)) from stop
    return exit_code(done, failed)


def exit_code(done: int, failed: int) -> int:
    """The exit code of a run with so many inputs done and failed."""
    if failed:
        return EXIT_SOME_FAILED if done else EXIT_ALL_FAILED
    return EXIT_OK


def _written(result: Result, sink: Sink) -> Failure | None:
    """Write a result; what has failed, in the input or in the writing of its files."""
    try:
        sink.write(result)
    except InputError as error:
        if sink.source is not None:
            return sink.source.failure(error.code, str(error))
        return Failure(result.path, error.code, str(error), result.channel, result.offset)
    return result if isinstance(result, Failure) else None


#: seconds between the lines of --progress log
LOG_EVERY = 30.0


@dataclass(frozen=True)
class Messages:
    """What is told on standard error while a command runs."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    no_progress: bool = False
    progress: str = "auto"

    def set_up(self) -> None:
        """Send the project's own log messages to standard error (UsageError where options contradict)."""
        if self.quiet and self.verbose:
            raise UsageError("--quiet and --verbose exclude each other", hint="leave one out")
        set_up_messages(quiet=self.quiet, verbose=self.verbose or self.debug)
        tell_other_place()
        remove_left()

    @property
    def bars(self) -> bool:
        """Whether lines that change may be shown on a terminal."""
        return self.progress == "auto" and not (self.quiet or self.no_progress)

    def display(self, total: int | None = None, before: Callable[[], int] = lambda: 0) -> Progress:
        """The progress of a run over `total` inputs, of which so many were done before."""
        logged = self.progress == "log" and not self.no_progress
        return Progress(bar=self.bars, log_every=LOG_EVERY if logged else None, total=total, before=before)

    def display_of(self, sink: StandardOutput | Directory | StackFile) -> Progress:
        """The progress of a run whose results go to `sink`."""
        return self.display(sink.total, lambda: sink.done_before)


def set_up_messages(*, quiet: bool, verbose: bool = False) -> None:
    """Send the project's own log messages to standard error, one line each."""
    logger = logging.getLogger("sewcli")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("sew: %(message)s"))
    logger.handlers = [handler]
    logger.propagate = False
    level = logging.DEBUG if verbose else logging.INFO
    logger.setLevel(logging.ERROR if quiet else level)

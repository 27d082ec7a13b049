"""Where and how a command writes: its options on outputs, made into a place for results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sewcli.cli.input_options import InputOptions
from sewcli.cli.output.apart import Names
from sewcli.cli.output.directory import Directory
from sewcli.cli.output.failures import check_failures, check_not_output
from sewcli.cli.output.journal import not_done, run_fingerprint
from sewcli.cli.output.keeping import Beside
from sewcli.cli.output.places import check_folder
from sewcli.cli.output.plan import Plan, plan
from sewcli.cli.output.planned import Planned
from sewcli.cli.output.sinks import HINT_OF_OUTPUT, StandardOutput, chosen_formats
from sewcli.cli.output.template import Template
from sewcli.cli.streams import on_terminal
from sewcli.errors import UsageError
from sewcli.hub.fetching import LocalModel
from sewcli.inputs.source import Source
from sewcli.writers import Format, Kind, Layout, formats_for
from sewcli.writers.cues import Shape


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
    kind: Kind = "transcript"
    shape: Shape = field(default_factory=Shape)
    failures: Path | None = None

    @property
    def chosen(self) -> list[Format]:
        """The formats (UsageError where several have no directory)."""
        return chosen_formats(self.formats, self.directory, self.kind)

    def check(self, inputs: InputOptions) -> None:
        """Refuse options that do not go together, or not with the inputs (UsageError)."""
        for option, given in (("--resume", self.resume), ("--output-template", self.template)):
            if given and self.directory is None:
                raise UsageError(f"{option} needs a directory", hint="add -o DIR")
        if not (math.isfinite(self.shape.max_gap) and math.isfinite(self.shape.max_duration)):
            raise UsageError("--max-gap and --max-duration are numbers of seconds")
        named = [*map(Path, inputs.named), *inputs.beside]
        check_failures(self.failures, named, self.directory, overwrite=self.overwrite)

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
        joined = self.directory is None
        return Layout(
            with_path=asked and joined, with_channel=joined and inputs.channels_apart, shape=self.shape
        )

    def plan(self, inputs: InputOptions, beside: Sequence[Beside] = ()) -> Plan:
        """All inputs with their files.

        They are listed first, once: collisions are found before anything runs, and a list that comes
        through a pipe cannot be read again.

        Args:
            inputs: what to read.
            beside: what is written beside the results.

        Raises:
            UsageError: output files collide or exist.
        """
        assert self.directory is not None
        check_folder("-o", self.directory, HINT_OF_OUTPUT)
        extensions = {form.extension for form in formats_for(self.kind).values()}
        if self.directory.suffix in extensions and not self.directory.exists():
            raise UsageError(
                f"-o {self.directory}: a directory is needed, and this looks like a file", hint=HINT_OF_OUTPUT
            )
        planned = plan(
            self.directory,
            inputs.sources(),
            self.chosen,
            Template() if self.template is None else Template(self.template),
            replace=self.replaces,
            read_too=inputs.read_too,
        )
        if beside:
            planned.put_beside([one.target for one in beside])
        return planned

    @property
    def replaces(self) -> bool:
        """Whether files that exist may be replaced."""
        return self.overwrite or self.resume

    def open(self, inputs: InputOptions, beside: Sequence[Beside] = ()) -> StandardOutput | Directory:
        """Where results go; see `plan` for the arguments.

        Raises:
            UsageError: output files collide or exist, the directory cannot be written to, or the format
                has one file an input and standard output would get several.
        """
        if self.directory is not None:
            layout, planned = self.layout(inputs), self.plan(inputs, beside)
            check_not_output(self.failures, planned)
            _make(beside)
            return Directory(
                self.directory,
                self.chosen,
                layout,
                planned,
                inputs.copies,
                resume=self.resume,
                replaces=self.replaces,
            )
        form = self._joined(inputs)
        if form.name == "parquet" and on_terminal():
            raise UsageError("parquet is not for a terminal", hint="add -o DIR, or > FILE")
        _make(beside)
        sources = inputs.sources()
        for one in beside:
            sources = map(one.named, sources)
        return StandardOutput(form, self.layout(inputs), sources, inputs.copies, inputs.total)

    def _joined(self, inputs: InputOptions) -> Format:
        """The format on standard output (UsageError where it cannot hold all results)."""
        [form] = self.chosen
        if not (form.joins or inputs.one_file):
            raise UsageError(f"format {form.name!r} has one file for each input", hint="add -o DIR")
        return form

    def fingerprint(self, local: LocalModel, settings: Mapping[str, Any]) -> str:
        """A hash of all that can change the content of a file; "" where nothing is remembered."""
        spec = local.spec
        model = {"id": spec.name, "revision": local.revision}
        if spec.start_offset or spec.end_offset:
            model |= {"offsets": f"{spec.start_offset} {spec.end_offset}"}
        return self.fingerprint_of(model, settings, local.directory)

    def fingerprint_of(
        self, model: Mapping[str, str | None], settings: Mapping[str, Any], directory: Path
    ) -> str:
        """The same for a model of this id and revision in a directory."""
        if not self.resume:
            return ""
        content: dict[str, Any] = {
            "model": dict(model),
            "settings": dict(settings),
            "cues": asdict(self.shape),
        }
        if self.template is not None:  # which may give files of two formats one name
            content["formats"] = [form.name for form in self.chosen]
        return run_fingerprint(content, directory)

    def dry_run(
        self,
        inputs: InputOptions,
        run: str = "",
        beside: Sequence[Beside] = (),
        seconds: Callable[[Source], float | None] | None = None,
    ) -> int:
        """Print what a run would do; the exit code.

        Args:
            inputs: what to read.
            run: the fingerprint, with --resume.
            beside: see `plan`.
            seconds: of the audio of an input; None reads it off its file.
        """
        from sewcli.audio import seconds_of
        from sewcli.cli.output.dry_run import dry_run

        seconds = seconds or seconds_of
        with inputs.copies:
            if self.directory is None:
                form = self._joined(inputs)
                names = Names(form.name) if form.by_name else None
                return dry_run((Planned(source, ()) for source in inputs.sources()), seconds, names=names)
            planned = self.plan(inputs, beside)
            if self.resume:
                return dry_run(not_done(self.directory, planned, run), seconds, total=len(planned))
            return dry_run(planned, seconds)


def _make(beside: Sequence[Beside]) -> None:
    for one in beside:
        one.make()

"""Options that commands share, in groups: a command takes a few of these dataclasses (see `grouping`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sewcli.casing import AS_IS, Case
from sewcli.chunking import ChunkPlan
from sewcli.cli.options import decoding as dec
from sewcli.cli.options import files
from sewcli.cli.options import shared as opt
from sewcli.cli.options import silence as silent
from sewcli.cli.options import spotting as spot
from sewcli.decoding import options as decoding
from sewcli.errors import UsageError
from sewcli.reading.activity_options import ActivityOptions
from sewcli.spotting.options import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import typer

    from sewcli.cli.input_options import InputOptions
    from sewcli.cli.messages import Messages
    from sewcli.cli.model_options import ModelOptions
    from sewcli.cli.output_options import OutputOptions
    from sewcli.model_defaults import OptionDefaults
    from sewcli.spotting.options import SpottingOptions
    from sewcli.writers import Kind
    from sewcli.writers.cues import Shape


@dataclass(frozen=True)
class Reading:
    """What is read."""

    inputs: files.Inputs = None
    files_from: files.FilesFrom = None
    null: files.NullSeparated = False
    include: files.Include = None
    exclude: files.Exclude = None
    start: files.Start = None
    end: files.End = None
    channel: files.Channel = "mix"
    raw_rate: files.RawRate = None
    raw_format: files.RawFormat = None
    raw_channels: files.RawChannels = None

    def wanted(self, *, offline: bool, text: str | None = None, beside: Iterable[Path] = ()) -> InputOptions:
        """The inputs.

        Args:
            offline: see `InputOptions`.
            text: what is said in each, or None.
            beside: files that are read too.
        """
        from sewcli.cli.input_options import InputOptions

        return InputOptions(
            inputs=self.inputs or [],
            files_from=self.files_from,
            null_separated=self.null,
            include=tuple(self.include or ()),
            exclude=tuple(self.exclude or ()),
            start=self.start,
            end=self.end,
            channel=self.channel,
            text=text,
            offline=offline,
            raw_rate=self.raw_rate,
            raw_format=self.raw_format,
            raw_channels=self.raw_channels,
            beside=tuple(beside),
        )


@dataclass(frozen=True)
class Writing:
    """The files that results go to."""

    output: files.OutputDirectory = None
    output_template: files.OutputTemplate = None
    overwrite: files.Overwrite = False
    resume: files.Resume = False
    failures: files.Failures = None
    dry_run: files.DryRun = False

    def options(
        self,
        formats: list[str] | None,
        paths: Paths | None = None,
        *,
        cues: Cues | None = None,
        kind: Kind = "transcript",
    ) -> OutputOptions:
        """How and where results of a kind are written."""
        from sewcli.cli.output_options import OutputOptions

        paths, cues = paths or Paths(), cues or Cues()
        return OutputOptions(
            formats=formats,
            directory=self.output,
            template=self.output_template,
            overwrite=self.overwrite,
            resume=self.resume,
            with_path=paths.with_path,
            no_path=paths.no_path,
            kind=kind,
            shape=cues.shape(),
            failures=self.failures,
        )


@dataclass(frozen=True)
class Paths:
    """Whether text has the path of its input in front."""

    with_path: files.WithPath = False
    no_path: files.WithoutPath = False


@dataclass(frozen=True)
class Cues:
    """The shape of subtitles."""

    max_chars: files.MaxChars = 42
    max_lines: files.MaxLines = 2
    max_gap: files.MaxGap = 1.0
    max_duration: files.MaxDuration = 7.0

    def shape(self) -> Shape:
        """The same, for the writers."""
        from sewcli.writers.cues import Shape

        return Shape(self.max_chars, self.max_lines, self.max_gap, self.max_duration)


@dataclass(frozen=True)
class Network:
    """Which model, and where it runs."""

    model: opt.Model = None
    revision: opt.Revision = None
    device: opt.Device = "auto"
    dtype: opt.Dtype = "auto"
    threads: opt.Threads = None
    compile: opt.Compile = False
    batch_seconds: opt.BatchSeconds = None
    read_workers: opt.ReadWorkers = None
    offline: opt.Offline = False

    def chosen(self, engine: str) -> ModelOptions:
        """The model in an engine."""
        from sewcli.cli.model_options import ModelOptions

        return ModelOptions(
            name=self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            threads=self.threads,
            engine=engine,
            offline=self.offline,
            compile=self.compile,
        )


@dataclass(frozen=True)
class Chunks:
    """How recordings are cut for the network."""

    chunk: opt.Chunk = None
    stride: opt.Stride = None
    statistics: opt.Statistics = "file"

    def plan(self, defaults: OptionDefaults) -> ChunkPlan:
        """Where chunks begin and end (UsageError where they cannot work).

        Args:
            defaults: of the model.
        """
        chunk, stride = defaults.chunk_seconds(self.chunk, self.stride)
        try:
            return ChunkPlan.from_seconds(chunk, stride)
        except ValueError as error:
            raise UsageError(
                f"--chunk {chunk:g} --stride {stride:g}: {error}",
                hint="for example --chunk 20 --stride 1",
            ) from error

    @property
    def whole_file(self) -> bool:
        """Whether the statistics are those of the whole file."""
        return self.statistics == "file"


@dataclass(frozen=True)
class Decoders:
    """How logits become text."""

    decoder: dec.Decoder = None
    beam_width: dec.BeamWidth = None
    lm: dec.Lm = None
    unigrams: dec.Unigrams = None
    alpha: dec.Alpha = None
    beta: dec.Beta = None
    unk_score: dec.UnkScore = decoding.DEFAULT_UNKNOWN
    hotword: dec.Hotword = None
    hotwords_file: dec.HotwordsFile = None
    hotword_weight: dec.HotwordWeight = decoding.DEFAULT_HOTWORD_WEIGHT
    token_min_logp: dec.TokenMinLogp = decoding.DEFAULT_TOKEN_MIN_LOGP
    beam_prune_logp: dec.BeamPruneLogp = decoding.DEFAULT_BEAM_PRUNE_LOGP

    @property
    def read_files(self) -> tuple[Path, ...]:
        """The files that are read."""
        files = (self.lm, self.unigrams, self.hotwords_file)
        return tuple(Path(file) for file in files if file is not None)

    def checked(
        self, defaults: OptionDefaults | None = None, n_best: int = 1, case: Case = AS_IS
    ) -> decoding.DecodingOptions:
        """The same, found good (UsageError where they do not go together or a file cannot be used).

        Args:
            defaults: of the model, where it is known.
            n_best, case: see `DecodingOptions`.
        """
        given = decoding.with_defaults(vars(self), defaults)
        return dec.decoding_options(n_best=n_best, case=case, **given)


@dataclass(frozen=True)
class Scoring:
    """What a manifest is scored by."""

    normalizer: opt.Normalizer = "none"
    metric: opt.Metric = "wer"
    skip_bad: opt.SkipBad = False


@dataclass(frozen=True)
class Spotting:
    """How keywords are found in long audio."""

    window: spot.Window = None
    hop: spot.Hop = DEFAULTS.hop
    smooth: spot.Smooth = DEFAULTS.smooth
    threshold: spot.Threshold = DEFAULTS.threshold
    merge_gap: spot.MergeGap = DEFAULTS.merge_gap
    gate: spot.Gate = DEFAULTS.gate
    labels: spot.Labels = None

    def given(self, context: typer.Context) -> SpottingOptions | None:
        """What they say; None without --window (UsageError where they cannot work)."""
        return spot.given(context, **vars(self))


@dataclass(frozen=True)
class Silence:
    """Which silences are left out."""

    vad: silent.Vad = False
    vad_threshold: silent.Threshold = silent.DEFAULTS.threshold
    vad_silence: silent.Silence = silent.DEFAULTS.silence
    vad_padding: silent.Padding = silent.DEFAULTS.padding

    def activity(self) -> ActivityOptions | None:
        """The same, found good; None without --vad (UsageError where they cannot work)."""
        if not self.vad:
            return None
        return ActivityOptions(self.vad_threshold, self.vad_silence, self.vad_padding).checked()


@dataclass(frozen=True)
class Telling:
    """What is told on standard error."""

    quiet: opt.Quiet = False
    verbose: opt.Verbose = False
    progress: opt.ProgressMode = "auto"
    no_progress: opt.NoProgress = False
    debug: opt.Debug = False

    def set_up(self) -> Messages:
        """The messages of a run, in force from now on."""
        from sewcli.cli.messages import Messages

        messages = Messages(
            quiet=self.quiet,
            verbose=self.verbose,
            debug=self.debug,
            no_progress=self.no_progress,
            progress=self.progress,
        )
        messages.set_up()
        return messages

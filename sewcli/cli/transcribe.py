"""`sew transcribe`: speech to text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from sewcli.activity_options import ActivityOptions
from sewcli.chunking import DEFAULT_CHUNK, DEFAULT_STRIDE
from sewcli.cli import decoding_options as dec
from sewcli.cli import file_options as files
from sewcli.cli import options as opt
from sewcli.cli import plotting
from sewcli.decoding.options import (
    DEFAULT_ALPHA,
    DEFAULT_BEAM_PRUNE_LOGP,
    DEFAULT_BEAM_WIDTH,
    DEFAULT_BETA,
    DEFAULT_HOTWORD_WEIGHT,
    DEFAULT_TOKEN_MIN_LOGP,
    DEFAULT_UNKNOWN,
)
from sewcli.errors import UsageError

_SILENCE = "Silence"
ACTIVITY = ActivityOptions()


def transcribe(
    inputs: files.Inputs = None,
    files_from: files.FilesFrom = None,
    null: files.NullSeparated = False,
    include: files.Include = None,
    exclude: files.Exclude = None,
    start: files.Start = None,
    end: files.End = None,
    channel: files.Channel = "mix",
    raw_rate: files.RawRate = None,
    raw_format: files.RawFormat = None,
    raw_channels: files.RawChannels = None,
    formats: files.Formats = None,
    output: files.OutputDirectory = None,
    output_template: files.OutputTemplate = None,
    overwrite: files.Overwrite = False,
    resume: files.Resume = False,
    save_logits: Annotated[
        Path | None,
        typer.Option(
            envvar="SEW_SAVE_LOGITS",
            metavar="DIR",
            help="Keep the logits of each input in a file of DIR, for `sew decode`.",
            rich_help_panel="Output",
        ),
    ] = None,
    dry_run: files.DryRun = False,
    with_path: files.WithPath = False,
    no_path: files.WithoutPath = False,
    plot: plotting.Plot = None,
    max_chars: files.MaxChars = 42,
    max_lines: files.MaxLines = 2,
    max_gap: files.MaxGap = 1.0,
    max_duration: files.MaxDuration = 7.0,
    timestamps: Annotated[
        Literal["none", "word", "char"] | None,
        typer.Option(
            envvar="SEW_TIMESTAMPS",
            help="Times in formats that carry them; word by default in json.",
            rich_help_panel="Output",
        ),
    ] = None,
    model: opt.Model = None,
    revision: opt.Revision = None,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    threads: opt.Threads = None,
    batch_seconds: opt.BatchSeconds = None,
    engine: opt.Engine = "auto",
    offline: opt.Offline = False,
    decoder: dec.Decoder = None,
    beam_width: dec.BeamWidth = DEFAULT_BEAM_WIDTH,
    lm: dec.Lm = None,
    unigrams: dec.Unigrams = None,
    alpha: dec.Alpha = DEFAULT_ALPHA,
    beta: dec.Beta = DEFAULT_BETA,
    unk_score: dec.UnkScore = DEFAULT_UNKNOWN,
    hotword: dec.Hotword = None,
    hotwords_file: dec.HotwordsFile = None,
    hotword_weight: dec.HotwordWeight = DEFAULT_HOTWORD_WEIGHT,
    n_best: dec.NBest = 1,
    token_min_logp: dec.TokenMinLogp = DEFAULT_TOKEN_MIN_LOGP,
    beam_prune_logp: dec.BeamPruneLogp = DEFAULT_BEAM_PRUNE_LOGP,
    chunk: opt.Chunk = DEFAULT_CHUNK,
    stride: opt.Stride = DEFAULT_STRIDE,
    statistics: opt.Statistics = "file",
    vad: Annotated[
        bool,
        typer.Option(
            "--vad",
            envvar="SEW_VAD",
            help="Leave long silences out, found by their level: faster, and the text may change.",
            rich_help_panel=_SILENCE,
        ),
    ] = False,
    vad_threshold: Annotated[
        float,
        typer.Option(
            envvar="SEW_VAD_THRESHOLD",
            metavar="DB",
            help="Speech begins so far above the noise floor of the file.",
            rich_help_panel=_SILENCE,
        ),
    ] = ACTIVITY.threshold,
    vad_silence: Annotated[
        float,
        typer.Option(
            envvar="SEW_VAD_SILENCE",
            metavar="SECONDS",
            help="Shorter silences stay.",
            rich_help_panel=_SILENCE,
        ),
    ] = ACTIVITY.silence,
    vad_padding: Annotated[
        float,
        typer.Option(
            envvar="SEW_VAD_PADDING",
            metavar="SECONDS",
            help="Of silence kept on each side of speech.",
            rich_help_panel=_SILENCE,
        ),
    ] = ACTIVITY.padding,
    audio_engine: opt.AudioEngine = "soundfile",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    progress: opt.ProgressMode = "auto",
    no_progress: opt.NoProgress = False,
    debug: opt.Debug = False,
) -> None:
    """Transcribe speech: one line of text, or one JSON object, for each input.

    sew transcribe talk.wav

    sew transcribe recordings/ -f json > transcripts.jsonl
    """
    from sewcli.cli import run
    from sewcli.cli.request import InputOptions, OutputOptions
    from sewcli.subtitles import Shape

    messages = run.Messages(quiet, verbose, debug, no_progress, progress)
    messages.set_up()
    wanted = InputOptions(
        inputs or [],
        files_from,
        null,
        tuple(include or ()),
        tuple(exclude or ()),
        start,
        end,
        channel,
        offline=offline,
        raw_rate=raw_rate,
        raw_format=raw_format,
        raw_channels=raw_channels,
    )
    written = OutputOptions(
        formats,
        output,
        output_template,
        overwrite,
        resume,
        with_path,
        no_path,
        shape=Shape(max_chars, max_lines, max_gap, max_duration),
    )
    decoding = dec.decoding_options(
        hotword,
        hotwords_file,
        decoder=decoder,
        beam_width=beam_width,
        hotword_weight=hotword_weight,
        lm=lm,
        unigrams=unigrams,
        alpha=alpha,
        beta=beta,
        unk_score=unk_score,
        n_best=n_best,
        token_min_logp=token_min_logp,
        beam_prune_logp=beam_prune_logp,
    )
    chosen = run.ModelOptions(model, revision, device, dtype, threads, engine, offline)
    wanted.check()
    written.check()
    plan = run.chunk_plan(chunk, stride)
    activity = ActivityOptions(vad_threshold, vad_silence, vad_padding).checked() if vad else None
    times = written.times(timestamps or (None if plot is None else "word"))
    if dry_run and not resume:
        raise typer.Exit(written.dry_run(wanted))
    wanted, pictures = plotting.opened(plot, wanted, replaced=written.replaces)
    keeper = None
    if save_logits is not None:
        if vad:
            raise UsageError("--vad leaves frames out, and --save-logits keeps all", hint="leave one out")
        from sewcli.cli.keeping import logits_directory

        wanted = replace(wanted, listed=tuple(wanted.sources()))
        keeper = logits_directory(save_logits, wanted, replace=written.replaces)
    beside = [one for one in (keeper, pictures) if one is not None]
    sink = None if dry_run else written.open(wanted, beside)
    local = chosen.fetch("ctc", progress=messages.bars)

    # from here on torch is needed
    from sewcli.pipeline import Options
    from sewcli.tasks import Transcribing

    network = chosen.load(local, "ctc")
    padded = run.batch_seconds(batch_seconds, network)
    options = Options(plan, padded, statistics == "file", audio_engine, activity=activity)
    task = Transcribing(
        local,
        network,
        decoding,
        options,
        times,
        None if keeper is None else keeper.write,
        None if pictures is None else pictures.write,
    )
    fingerprint = written.fingerprint(local, task.settings | {"timestamps": times})
    if sink is None:
        raise typer.Exit(written.dry_run(wanted, fingerprint, beside))
    display = messages.display(sink.total)
    results = task.results(display.reading(sink.pending(fingerprint)))
    raise typer.Exit(run.write_all(run.tell_hotwords(results), sink, display))

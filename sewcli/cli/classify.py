"""`sew classify`: the label of a clip, keywords first of all."""

from __future__ import annotations

from typing import Annotated

import typer

from sewcli.cli import file_options as files
from sewcli.cli import options as opt
from sewcli.cli import plotting
from sewcli.cli import spotting_options as spot
from sewcli.errors import UsageError
from sewcli.spotting.options import DEFAULTS


def classify(
    context: typer.Context,
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
    dry_run: files.DryRun = False,
    with_path: files.WithPath = False,
    no_path: files.WithoutPath = False,
    plot: plotting.Plot = None,
    top: Annotated[
        int,
        typer.Option(
            envvar="SEW_TOP", min=1, help="How many labels to print, best first.", rich_help_panel="Output"
        ),
    ] = 1,
    window: spot.Window = None,
    hop: spot.Hop = DEFAULTS.hop,
    smooth: spot.Smooth = DEFAULTS.smooth,
    threshold: spot.Threshold = DEFAULTS.threshold,
    merge_gap: spot.MergeGap = DEFAULTS.merge_gap,
    gate: spot.Gate = DEFAULTS.gate,
    labels: spot.Labels = None,
    model: opt.Model = None,
    revision: opt.Revision = None,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    threads: opt.Threads = None,
    batch_seconds: opt.BatchSeconds = None,
    engine: opt.Engine = "auto",
    offline: opt.Offline = False,
    audio_engine: opt.AudioEngine = "soundfile",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    progress: opt.ProgressMode = "auto",
    no_progress: opt.NoProgress = False,
    debug: opt.Debug = False,
) -> None:
    """Classify short clips: the best labels of each with their probabilities. With --window, spot keywords in
    recordings of any length: an event for each, with its times, as soon as it is over.

    sew classify clip.wav

    sew classify clips/ --top 3 -f json

    sew classify talk.wav --window 1.0 -f json

    arecord -q -f S16_LE -r 16000 | sew classify --window 1.0 -
    """
    from sewcli.cli import run
    from sewcli.cli.request import InputOptions, OutputOptions

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
        formats, output, output_template, overwrite, resume, with_path, no_path, kind="labels"
    )
    chosen = run.ModelOptions(model, revision, device, dtype, threads, engine, offline)
    spotting = spot.given(context, window, hop, smooth, threshold, merge_gap, gate, labels)
    if spotting is not None and spot.on_command_line(context, "top"):
        raise UsageError("--top is for clips; with --window every label that is heard is an event")
    wanted.check()
    written.check()
    if dry_run and not resume:
        raise typer.Exit(written.dry_run(wanted))
    wanted, pictures = plotting.opened(plot, wanted, replaced=written.replaces)
    beside = [] if pictures is None else [pictures]
    sink = None if dry_run else written.open(wanted, beside)
    local = chosen.fetch("classification", progress=messages.bars)

    # from here on torch is needed
    from sewcli.pipeline import Options
    from sewcli.tasks import Classifying, Spotting

    network = chosen.load(local, "classification")
    padded = run.batch_seconds(batch_seconds, network)
    picture = None if pictures is None else pictures.write
    task: Classifying | Spotting
    if spotting is None:
        task = Classifying(local, network, Options.for_clips(padded, audio_engine), top, picture)
    else:
        task = Spotting(local, network, spotting, padded, audio_engine, picture)
    fingerprint = written.fingerprint(local, task.settings)
    if sink is None:
        raise typer.Exit(written.dry_run(wanted, fingerprint, beside))
    display = messages.display(sink.total)
    results = spot.as_written(
        task.results(display.reading(sink.pending(fingerprint))), at_once=output is None
    )
    raise typer.Exit(run.write_all(results, sink, display))

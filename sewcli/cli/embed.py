"""`sew embed`: the hidden states of an encoder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from sewcli.chunking import DEFAULT_CHUNK, DEFAULT_STRIDE
from sewcli.cli import file_options as files
from sewcli.cli import options as opt
from sewcli.errors import UsageError


def embed(
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
    layer: Annotated[
        int | None,
        typer.Option(
            "--layer",
            envvar="SEW_LAYER",
            min=0,
            help="Hidden states of a layer, 0 for what the first one reads; by default last_hidden_state.",
            rich_help_panel="Output",
        ),
    ] = None,
    pool: Annotated[
        Literal["none", "mean"],
        typer.Option("--pool", envvar="SEW_POOL", help="mean: one state an input.", rich_help_panel="Output"),
    ] = "none",
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "-f",
            "--format",
            envvar="SEW_FORMAT",
            help="npy, npz, safetensors, or json for the metadata alone; may be repeated with -o.",
            rich_help_panel="Output",
        ),
    ] = None,
    output: files.OutputDirectory = None,
    stack: Annotated[
        Path | None,
        typer.Option(
            "--stack",
            envvar="SEW_STACK",
            metavar="FILE",
            help="Write the pooled states of all inputs to one .npy, .npz or .safetensors, a row an input.",
            rich_help_panel="Output",
        ),
    ] = None,
    output_template: files.OutputTemplate = None,
    overwrite: files.Overwrite = False,
    resume: files.Resume = False,
    dry_run: files.DryRun = False,
    model: opt.Model = None,
    revision: opt.Revision = None,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    threads: opt.Threads = None,
    batch_seconds: opt.BatchSeconds = None,
    offline: opt.Offline = False,
    chunk: opt.Chunk = DEFAULT_CHUNK,
    stride: opt.Stride = DEFAULT_STRIDE,
    statistics: opt.Statistics = "file",
    audio_engine: opt.AudioEngine = "soundfile",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    progress: opt.ProgressMode = "auto",
    no_progress: opt.NoProgress = False,
    debug: opt.Debug = False,
) -> None:
    """Write hidden states, of every frame or their mean, from any model: with a head or without.

    sew embed talk.wav > talk.npy

    sew embed clips/ -o states/ -f safetensors --layer 4

    sew embed clips/ --pool mean --stack clips.npz
    """
    from sewcli.cli import run
    from sewcli.cli.output import Directory, StandardOutput
    from sewcli.cli.request import InputOptions, OutputOptions
    from sewcli.cli.stack import StackFile

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
        with_path=False,
        no_path=False,
        kind="features",
    )
    # the hidden states of transformers, to the last digit
    chosen = run.ModelOptions(model, revision, device, dtype, threads, "reference", offline)
    wanted.check()
    written.check()
    if stack is not None:
        _check_stack(pool, formats, output)
    plan = run.chunk_plan(chunk, stride)
    if dry_run and not resume:
        raise typer.Exit(written.dry_run(wanted))
    if stack is None and output is None and written.chosen[0].name != "json" and sys.stdout.isatty():
        raise UsageError("hidden states are not for a terminal", hint="add -o DIR, or > FILE")
    sink: StandardOutput | Directory | StackFile | None
    if dry_run:
        sink = None
    elif stack is not None:
        sink = StackFile(stack, wanted.sources(), wanted.copies, overwrite=overwrite)
    else:
        sink = written.open(wanted)
    local = chosen.fetch("features", progress=messages.bars)

    # from here on torch is needed
    from sewcli.acoustic.reference import TransformersModel
    from sewcli.pipeline import Options
    from sewcli.pipeline import run as run_pipeline
    from sewcli.recognition import Embedder
    from sewcli.tasks import chunk_settings

    network = chosen.load(local, "features")
    assert isinstance(network, TransformersModel)  # that is the reference
    network.choose_layer(layer)
    padded = run.batch_seconds(batch_seconds, network)
    options = Options(plan, padded, statistics == "file", audio_engine)
    settings = chunk_settings(network, options)
    info = run.model_info(local)
    fingerprint = written.fingerprint(local, settings | {"layer": layer, "pool": pool})
    if sink is None:
        raise typer.Exit(written.dry_run(wanted, fingerprint))
    display = messages.display(sink.total)
    results = run_pipeline(
        display.reading(sink.pending(fingerprint)),
        network,
        lambda: Embedder(network.columns, layer, pool, info, settings),
        options,
    )
    raise typer.Exit(run.write_all(results, sink, display))


def _check_stack(pool: str, formats: list[str] | None, output: Path | None) -> None:
    """Refuse options that do not go with --stack (UsageError)."""
    if pool == "none":
        raise UsageError("--stack needs states of one length", hint="add --pool mean, or use -o DIR")
    if output is not None:
        raise UsageError("--stack and -o exclude each other", hint="leave one out")
    if formats:
        raise UsageError("the extension of --stack is its format", hint="leave out -f")

"""`sew classify`: the label of a clip, keywords first of all."""

from __future__ import annotations

from typing import Annotated

import typer

from sewcli.cli import options as opt


def classify(
    inputs: opt.Inputs = None,
    files_from: opt.FilesFrom = None,
    null: opt.NullSeparated = False,
    formats: opt.Formats = None,
    output: opt.OutputDirectory = None,
    overwrite: opt.Overwrite = False,
    with_path: opt.WithPath = False,
    no_path: opt.WithoutPath = False,
    top: Annotated[
        int,
        typer.Option(
            envvar="SEW_TOP", min=1, help="How many labels to print, best first.", rich_help_panel="Output"
        ),
    ] = 1,
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
    no_progress: opt.NoProgress = False,
    debug: opt.Debug = False,  # noqa: ARG001 - read by main, before any command
) -> None:
    """Classify short clips, for keyword spotting: the best labels of each with their probabilities.

    sew classify clip.wav

    sew classify clips/ --top 3 -f json
    """
    from sewcli.cli import run
    from sewcli.cli.console import Progress

    run.set_up_messages(quiet=quiet)
    wanted = run.InputOptions(inputs or [], files_from, null)
    written = run.OutputOptions(formats, output, overwrite, with_path, no_path)
    chosen = run.ModelOptions(model, revision, device, dtype, threads, engine, offline)
    shown = not (quiet or no_progress)
    wanted.check()
    sink, sources = written.sink(wanted)
    local = chosen.fetch("classification", progress=shown)

    # from here on torch is needed
    from sewcli.pipeline import Options
    from sewcli.pipeline import run as run_pipeline
    from sewcli.recognition import Classifier

    network = chosen.load(local, "classification")
    info = run.model_info(local)
    results = run_pipeline(
        sources,
        network,
        lambda: Classifier(network.labels, info, top),
        Options.for_clips(run.batch_seconds(batch_seconds, network), audio_engine),
    )
    raise typer.Exit(run.finish(results, sink, Progress(shown=shown)))

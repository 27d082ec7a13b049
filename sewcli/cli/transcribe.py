"""`sew transcribe`: speech to text."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from sewcli.cli import options as opt


def transcribe(
    inputs: opt.Inputs = None,
    files_from: opt.FilesFrom = None,
    null: opt.NullSeparated = False,
    formats: opt.Formats = None,
    output: opt.OutputDirectory = None,
    overwrite: opt.Overwrite = False,
    with_path: opt.WithPath = False,
    no_path: opt.WithoutPath = False,
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
    offline: opt.Offline = False,
    decoder: opt.Decoder = "greedy",
    beam_width: opt.BeamWidth = 100,
    hotword: opt.Hotword = None,
    hotword_weight: opt.HotwordWeight = 10.0,
    chunk: opt.Chunk = opt.DEFAULT_CHUNK,
    stride: opt.Stride = opt.DEFAULT_STRIDE,
    statistics: opt.Statistics = "file",
    audio_engine: opt.AudioEngine = "soundfile",
    quiet: opt.Quiet = False,
    no_progress: opt.NoProgress = False,
    debug: opt.Debug = False,  # noqa: ARG001 - read by main, before any command
) -> None:
    """Transcribe speech: one line of text, or one JSON object, for each input.

    sew transcribe talk.wav

    sew transcribe recordings/ -f json > transcripts.jsonl
    """
    from sewcli.cli import run
    from sewcli.cli.console import Progress

    run.set_up_messages(quiet=quiet)
    wanted = run.InputOptions(inputs or [], files_from, null)
    written = run.OutputOptions(formats, output, overwrite, with_path, no_path)
    decoding = run.DecodingOptions(decoder, beam_width, hotword or [], hotword_weight)
    chosen = run.ModelOptions(model, revision, device, dtype, threads, offline)
    shown = not (quiet or no_progress)
    wanted.check()
    plan = run.chunk_plan(chunk, stride)
    decoding.check()
    sink, sources = written.sink(wanted)
    if timestamps is None:
        timestamps = "word" if any(form.carries_times for form in written.chosen) else "none"
    local = chosen.fetch("ctc", progress=shown)

    # from here on torch is needed
    from sewcli.decoding.vocabulary import load_vocabulary
    from sewcli.pipeline import Options
    from sewcli.pipeline import run as run_pipeline
    from sewcli.recognition import Transcriber

    network = chosen.load(local, "ctc")
    make_decoder, settings = decoding.decoders(load_vocabulary(local.directory, network.columns))
    settings |= {
        "chunk": plan.chunk_seconds,
        "stride": plan.stride_seconds,
        "statistics": statistics,
        "dtype": network.dtype,
        "audio_engine": audio_engine,
    }
    info = run.model_info(local)
    results = run_pipeline(
        sources,
        network,
        lambda: Transcriber(make_decoder(), info, settings, timestamps),
        Options(plan, run.batch_seconds(batch_seconds, network), statistics == "file", audio_engine),
    )
    raise typer.Exit(run.finish(results, sink, Progress(shown=shown)))

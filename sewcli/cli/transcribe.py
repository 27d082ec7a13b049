"""`sew transcribe`: speech to text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sewcli.cli import options as opt
from sewcli.errors import UsageError

if TYPE_CHECKING:
    from sewcli.decoding.vocabulary import Vocabulary
    from sewcli.recognition import Decoder

_DECODING = "Decoding"


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
    engine: opt.Engine = "auto",
    offline: opt.Offline = False,
    decoder: Annotated[
        Literal["greedy", "beam"],
        typer.Option(envvar="SEW_DECODER", help="How logits become text.", rich_help_panel=_DECODING),
    ] = "greedy",
    beam_width: Annotated[
        int,
        typer.Option(envvar="SEW_BEAM_WIDTH", min=1, help="Prefixes kept.", rich_help_panel=_DECODING),
    ] = 100,
    hotword: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SEW_HOTWORD",
            help="A word or phrase to prefer (beam search; may be repeated; SEW_HOTWORD splits at spaces).",
            rich_help_panel=_DECODING,
        ),
    ] = None,
    hotword_weight: Annotated[
        float,
        typer.Option(envvar="SEW_HOTWORD_WEIGHT", help="How strongly.", rich_help_panel=_DECODING),
    ] = 10.0,
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
    from sewcli.decoding.support import require_pyctcdecode

    run.set_up_messages(quiet=quiet)
    wanted = run.InputOptions(inputs or [], files_from, null)
    written = run.OutputOptions(formats, output, overwrite, with_path, no_path)
    chosen = run.ModelOptions(model, revision, device, dtype, threads, engine, offline)
    shown = not (quiet or no_progress)
    wanted.check()
    plan = run.chunk_plan(chunk, stride)
    if decoder == "beam":
        require_pyctcdecode()
    elif hotword:
        raise UsageError("hotwords need beam search", hint="add --decoder beam")
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
    make_decoder, settings = _decoding(
        load_vocabulary(local.directory, network.columns),
        decoder,
        {"beam_width": beam_width, "hotwords": hotword or [], "hotword_weight": hotword_weight},
    )
    settings |= {
        "chunk": plan.chunk_seconds,
        "stride": plan.stride_seconds,
        "statistics": statistics,
        "dtype": network.dtype,
        "engine": network.engine,
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


def _decoding(
    vocabulary: Vocabulary, decoder: str, beam: dict[str, Any]
) -> tuple[Callable[[], Decoder], dict[str, Any]]:
    """What makes the decoder of one recording, and the settings that go on record."""
    from sewcli.decoding.beam import BeamSearch
    from sewcli.decoding.greedy import GreedyDecoder

    if decoder == "greedy":
        return lambda: GreedyDecoder(vocabulary), {"decoder": decoder}
    search = BeamSearch(
        vocabulary,
        width=beam["beam_width"],
        hotwords=tuple(beam["hotwords"]),
        hotword_weight=beam["hotword_weight"],
    )
    return search.recording, {"decoder": decoder, **beam, "hotwords": list(search.hotwords)}

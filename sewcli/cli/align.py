"""`sew align`: where the words of a known text were said."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sewcli.chunking import DEFAULT_CHUNK, DEFAULT_STRIDE
from sewcli.cli import file_options as files
from sewcli.cli import options as opt
from sewcli.cli import plotting
from sewcli.errors import UsageError
from sewcli.sources import STDIN, Source

if TYPE_CHECKING:
    from sewcli.cli.request import InputOptions
    from sewcli.decoding.vocabulary import Vocabulary

#: docs/alignment.md has the measurement it was chosen by
DEFAULT_MIN_CONFIDENCE = 0.02


def align(
    inputs: files.Inputs = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text", envvar="SEW_TEXT", help="What is said in the recording.", rich_help_panel="Input"
        ),
    ] = None,
    text_file: Annotated[
        str | None,
        typer.Option(
            "--text-file",
            envvar="SEW_TEXT_FILE",
            metavar="FILE|-",
            help="Read what is said from a file in UTF-8, line ends counting as spaces.",
            rich_help_panel="Input",
        ),
    ] = None,
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
    plot: plotting.Plot = None,
    max_chars: files.MaxChars = 42,
    max_lines: files.MaxLines = 2,
    max_gap: files.MaxGap = 1.0,
    max_duration: files.MaxDuration = 7.0,
    timestamps: Annotated[
        Literal["word", "char"],
        typer.Option(
            envvar="SEW_TIMESTAMPS",
            help="char adds the times of characters in json, textgrid and parquet.",
            rich_help_panel="Output",
        ),
    ] = "char",
    min_confidence: Annotated[
        float,
        typer.Option(
            envvar="SEW_MIN_CONFIDENCE",
            min=0,
            max=1,
            help="A word of less confidence is told not to fit.",
            rich_help_panel="Output",
        ),
    ] = DEFAULT_MIN_CONFIDENCE,
    model: opt.Model = None,
    revision: opt.Revision = None,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    threads: opt.Threads = None,
    batch_seconds: opt.BatchSeconds = None,
    engine: opt.Engine = "auto",
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
    """Align a known text with its recording: the times of words and characters, and how well they fit.

    sew align talk.wav --text-file talk.txt -f textgrid > talk.TextGrid

    sew align --files-from manifest.jsonl -o aligned/ -f json -f ctm
    """
    from sewcli.cli import run
    from sewcli.cli.request import InputOptions, OutputOptions
    from sewcli.subtitles import Shape

    messages = run.Messages(quiet, verbose, debug, no_progress, progress)
    messages.set_up()
    known = _known_text(text, text_file, inputs or [])
    wanted = InputOptions(
        inputs or [],
        files_from,
        null,
        tuple(include or ()),
        tuple(exclude or ()),
        start,
        end,
        channel,
        known,
        offline,
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
        kind="alignment",
        shape=Shape(max_chars, max_lines, max_gap, max_duration),
    )
    chosen = run.ModelOptions(model, revision, device, dtype, threads, engine, offline)
    wanted.check()
    _check_texts(wanted)
    written.check()
    plan = run.chunk_plan(chunk, stride)
    if dry_run and not resume:
        raise typer.Exit(written.dry_run(wanted))
    wanted, pictures = plotting.opened(plot, wanted, replaced=written.replaces)
    beside = [] if pictures is None else [pictures]
    sink = None if dry_run else written.open(wanted, beside)
    local = chosen.fetch("ctc", progress=messages.bars)

    # from here on torch is needed
    from sewcli.decoding.vocabulary import load_vocabulary
    from sewcli.pipeline import Options
    from sewcli.pipeline import run as run_pipeline
    from sewcli.recognition import Aligner
    from sewcli.tasks import chunk_settings

    network = chosen.load(local, "ctc")
    vocabulary = load_vocabulary(local.directory, network.columns)
    if known is not None and (problem := _problem(known, vocabulary)):
        raise UsageError(problem, hint=_SPELLING)
    padded = run.batch_seconds(batch_seconds, network)
    options = Options(plan, padded, statistics == "file", audio_engine)
    settings = chunk_settings(network, options) | {"min_confidence": min_confidence}
    info = run.model_info(local)
    fingerprint = written.fingerprint(local, settings | {"timestamps": timestamps})
    if sink is None:
        raise typer.Exit(written.dry_run(wanted, fingerprint, beside))
    display = messages.display(sink.total)
    aligner = lambda: Aligner(vocabulary, info, settings, timestamps, min_confidence)  # noqa: E731
    results = run_pipeline(
        _with_text(display.reading(sink.pending(fingerprint)), vocabulary),
        network,
        aligner if pictures is None else plotting.drawing(aligner, pictures),
        options,
    )
    raise typer.Exit(run.write_all(results, sink, display))


_SPELLING = "spell it with the characters the model writes: numbers as words, no punctuation"


def _known_text(text: str | None, text_file: str | None, inputs: list[str]) -> str | None:
    """The text of --text or --text-file; None where there is neither (UsageError where it is empty)."""
    if text is not None and text_file is not None:
        raise UsageError("--text and --text-file exclude each other", hint="leave one out")
    if text_file is not None:
        text = _read(text_file, inputs)
    if text is not None and not text.split():
        name = "--text" if text_file is None else text_file
        raise UsageError(f"{name}: the text is empty", hint="give the words that are said in the recording")
    return text


def _read(text_file: str, inputs: list[str]) -> str:
    if text_file == STDIN and STDIN in inputs:
        raise UsageError("standard input can be read only once", hint="give the recording as a file")
    try:
        content = sys.stdin.buffer.read() if text_file == STDIN else Path(text_file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{text_file}: the text cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{text_file}: the text is not UTF-8", hint="convert it, with iconv") from error


def _check_texts(wanted: InputOptions) -> None:
    """Refuse inputs that can have no text, or one text for several recordings (UsageError)."""
    if wanted.text is None and (wanted.files_from is None or wanted.inputs):
        raise UsageError(
            "no text to align with",
            hint="add --text, --text-file, or --files-from with a manifest that has texts",
        )
    if wanted.text is not None and not wanted.one_input:
        raise UsageError(
            "one text is for one recording", hint="give several in a manifest with their texts: --files-from"
        )


def _with_text(sources: Iterable[Source], vocabulary: Vocabulary) -> Iterator[Source]:
    """The sources; those whose text cannot be aligned fail before their audio is read."""
    for source in sources:
        problem = source.error or _problem(source.text or "", vocabulary)
        yield replace(source, error=problem)


def _problem(text: str, vocabulary: Vocabulary) -> str | None:
    from sewcli.decoding.known import KnownText

    try:
        KnownText(text, vocabulary)
    except ValueError as error:
        return str(error)
    return None

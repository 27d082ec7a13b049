"""`sew align`: where the words of a known text were said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sewcli.cli.options import files, groups, plotting
from sewcli.cli.options import shared as opt
from sewcli.cli.options.grouping import grouped
from sewcli.decoding.options import DEFAULT_MIN_CONFIDENCE
from sewcli.errors import UsageError
from sewcli.inputs.source import STDIN
from sewcli.inputs.standard_input import standard_input

if TYPE_CHECKING:
    from sewcli.cli.input_options import InputOptions


@grouped
def align(
    *,
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
    ignore_punctuation: Annotated[
        bool,
        typer.Option(
            "--ignore-punctuation",
            envvar="SEW_IGNORE_PUNCTUATION",
            help="Marks that the model does not write stay in the words and are not looked for.",
            rich_help_panel="Input",
        ),
    ] = False,
    reading: groups.Reading,
    formats: files.AlignmentFormats = None,
    writing: groups.Writing,
    plot: plotting.Plot = None,
    cues: groups.Cues,
    timestamps: Annotated[
        Literal["none", "word", "char"],
        typer.Option(
            envvar="SEW_TIMESTAMPS",
            metavar="<word|char>",
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
    machine: groups.Network,
    engine: opt.Engine = "auto",
    chunks: groups.Chunks,
    audio_engine: opt.AudioEngine = "soundfile",
    telling: groups.Telling,
) -> None:
    """Align a known text with its recording: the times of words and characters, and how well they fit.

    sew align talk.wav --text-file talk.txt -f textgrid > talk.TextGrid

    sew align talk.wav --text 'Go forward: ten meters!' --ignore-punctuation -f srt

    sew align --files-from manifest.jsonl -o aligned/ -f json -f ctm
    """
    from sewcli.cli.writing import write_all

    messages = telling.set_up()
    if timestamps == "none":
        raise UsageError("--timestamps none: an alignment is the times of its words", hint="word or char")
    known = _known_text(text, text_file, reading.inputs or [])
    read_too = [] if text_file is None or text_file == STDIN else [Path(text_file)]
    wanted = reading.wanted(offline=machine.offline, text=known, beside=read_too)
    written = writing.options(formats, cues=cues, kind="alignment")
    chosen = machine.chosen(engine)
    wanted.check()
    _check_texts(wanted)
    written.check(wanted)
    plan = chunks.plan(chosen.defaults("ctc"))
    if writing.dry_run and not writing.resume:
        raise typer.Exit(written.dry_run(wanted))
    chosen.check("ctc")
    wanted, pictures = plotting.opened(plot, wanted, replaced=written.replaces)
    beside = [] if pictures is None else [pictures]
    sink = None if writing.dry_run else written.open(wanted, beside)
    local = chosen.fetch("ctc", progress=messages.bars)

    # from here on torch is needed
    from sewcli.pipeline.run import Options
    from sewcli.tasks.aligning import Aligning
    from sewcli.tasks.shared import batch_seconds

    network = chosen.load(local, "ctc")
    padded = batch_seconds(machine.batch_seconds, network)
    options = Options(plan, padded, chunks.whole_file, audio_engine, read_workers=machine.read_workers)
    picture = None if pictures is None else pictures.write
    task = Aligning(
        local,
        network,
        options,
        timestamps,
        min_confidence,
        picture,
        ignore_punctuation=ignore_punctuation,
    )
    if known is not None:
        task.check(known, text_file or "--text")
    fingerprint = written.fingerprint(local, task.settings | {"timestamps": timestamps})
    if sink is None:
        raise typer.Exit(written.dry_run(wanted, fingerprint, beside))
    display = messages.display_of(sink)
    results = task.results(display.reading(sink.pending(fingerprint)))
    raise typer.Exit(write_all(results, sink, display, writing.failures))


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
        content = standard_input().read() if text_file == STDIN else Path(text_file).read_bytes()
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

"""Options for what is read and where results go, declared once for all commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sewcli.cli.options.words import format_names

_INPUT = "Input"
_OUTPUT = "Output"
_CUES = "Cues of srt, vtt, tsv, csv, lrc and verbose_json"

Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT",
        help="Audio files, directories (searched recursively), addresses (https://, s3://, zip://...), "
        "or - for stdin.",
    ),
]
FilesFrom = Annotated[
    str | None,
    typer.Option(
        "--files-from",
        envvar="SEW_FILES_FROM",
        metavar="FILE|-",
        help="Read inputs from a list: one path a line, or a JSON Lines manifest.",
        rich_help_panel=_INPUT,
    ),
]
NullSeparated = Annotated[
    bool,
    typer.Option(
        "-0",
        "--null",
        envvar="SEW_NULL",
        help="The list of --files-from is NUL-separated.",
        rich_help_panel=_INPUT,
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        envvar="SEW_INCLUDE",
        metavar="GLOB",
        help="Of the audio files in a directory, only those that match (may be repeated).",
        rich_help_panel=_INPUT,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        envvar="SEW_EXCLUDE",
        metavar="GLOB",
        help="Leave out files and directories in a directory that match (may be repeated).",
        rich_help_panel=_INPUT,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        envvar="SEW_START",
        metavar="TIME",
        help="Begin here in each file: seconds or hh:mm:ss.",
        rich_help_panel=_INPUT,
    ),
]
End = Annotated[
    str | None,
    typer.Option(
        "--end",
        envvar="SEW_END",
        metavar="TIME",
        help="Stop here in each file, counted from its beginning too.",
        rich_help_panel=_INPUT,
    ),
]
Channel = Annotated[
    str,
    typer.Option(
        "--channel",
        envvar="SEW_CHANNEL",
        metavar="mix|N|split",
        help="mix all channels, read channel N (from 0), or split: one result a channel, whose number stands "
        "in text before it.",
        rich_help_panel=_INPUT,
    ),
]
RawRate = Annotated[
    int | None,
    typer.Option(
        "--raw-rate",
        envvar="SEW_RAW_RATE",
        min=1_000,
        max=768_000,
        help="Standard input is samples without a header, so many a second.",
        rich_help_panel=_INPUT,
    ),
]
RawFormat = Annotated[
    Literal[
        "s16le",
        "s16be",
        "s24le",
        "s24be",
        "s32le",
        "s32be",
        "f32le",
        "f32be",
        "f64le",
        "f64be",
        "s8",
        "u8",
        "mulaw",
        "alaw",
    ]
    | None,
    typer.Option(
        "--raw-format",
        envvar="SEW_RAW_FORMAT",
        metavar="FORMAT",
        help="Of these samples, as ffmpeg names it: s16le (the default), s24le, s32le, f32le, f64le, "
        "be for le, s8, u8, mulaw or alaw.",
        rich_help_panel=_INPUT,
    ),
]
RawChannels = Annotated[
    int | None,
    typer.Option(
        "--raw-channels",
        envvar="SEW_RAW_CHANNELS",
        min=1,
        max=256,
        help="Of these samples, interleaved; 1 by default.",
        rich_help_panel=_INPUT,
    ),
]


def _format_option(told: str) -> Any:
    """-f of a command, with the formats of its results."""
    return typer.Option(
        "-f",
        "--format",
        envvar="SEW_FORMAT",
        autocompletion=format_names,
        metavar="FORMAT",
        help=f"{told}; may be repeated with -o.",
        rich_help_panel=_OUTPUT,
    )


Formats = Annotated[
    list[str] | None,
    _format_option("text, json, verbose_json, srt, vtt, tsv, csv, lrc, ctm, stm, trn, textgrid or parquet"),
]
LabelFormats = Annotated[list[str] | None, _format_option("text or json")]
AlignmentFormats = Annotated[
    list[str] | None,
    _format_option("json, verbose_json, srt, vtt, tsv, csv, lrc, ctm, textgrid or parquet"),
]
StateFormats = Annotated[
    list[str] | None, _format_option("npy, npz, safetensors, or json for the metadata alone")
]
OutputDirectory = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        envvar="SEW_OUTPUT",
        metavar="DIR",
        help="Write one file an input and format into DIR, the input tree mirrored; nothing on stdout.",
        rich_help_panel=_OUTPUT,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        envvar="SEW_OVERWRITE",
        help="Replace files that exist in DIR.",
        rich_help_panel=_OUTPUT,
    ),
]
WithPath = Annotated[
    bool,
    typer.Option(
        "-H",
        "--with-path",
        envvar="SEW_WITH_PATH",
        help="Print the path before each line, also for one input.",
        rich_help_panel=_OUTPUT,
    ),
]
WithoutPath = Annotated[
    bool,
    typer.Option(
        "-h", "--no-path", envvar="SEW_NO_PATH", help="Never print the path.", rich_help_panel=_OUTPUT
    ),
]
OutputTemplate = Annotated[
    str | None,
    typer.Option(
        "--output-template",
        envvar="SEW_OUTPUT_TEMPLATE",
        metavar="TEXT",
        help="Names of the files in DIR, by default {dir}/{stem}{part}.{ext}; "
        "also {parent} {name} {format} {channel} {index}.",
        rich_help_panel=_OUTPUT,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        envvar="SEW_RESUME",
        help="Keep a journal in DIR and pass over what it has as done: the same audio, settings and model. A "
        "file that was changed since, or is of another input, is kept as FILE~ where it is written anew.",
        rich_help_panel=_OUTPUT,
    ),
]
Failures = Annotated[
    Path | None,
    typer.Option(
        "--failures",
        envvar="SEW_FAILURES",
        metavar="FILE",
        help="Write each input that failed into FILE: a JSON object a line, with its path and what is wrong. "
        "`sew transcribe --files-from FILE` tries recordings again. It replaces such a list and, without "
        "--overwrite, nothing else.",
        rich_help_panel=_OUTPUT,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        envvar="SEW_DRY_RUN",
        help="List the inputs, their seconds and files, and the hours in all; do nothing.",
        rich_help_panel=_OUTPUT,
    ),
]
Timestamps = Annotated[
    Literal["none", "word", "char"] | None,
    typer.Option(
        "--timestamps",
        envvar="SEW_TIMESTAMPS",
        help="Times in formats that carry them; word by default in json.",
        rich_help_panel=_OUTPUT,
    ),
]
MaxChars = Annotated[
    int,
    typer.Option(
        "--max-chars",
        envvar="SEW_MAX_CHARS",
        min=1,
        help="Characters in a line of a cue.",
        rich_help_panel=_CUES,
    ),
]
MaxLines = Annotated[
    int,
    typer.Option("--max-lines", envvar="SEW_MAX_LINES", min=1, help="Lines of a cue.", rich_help_panel=_CUES),
]
MaxGap = Annotated[
    float,
    typer.Option(
        "--max-gap",
        envvar="SEW_MAX_GAP",
        min=0,
        help="Seconds of silence within a cue.",
        rich_help_panel=_CUES,
    ),
]
MaxDuration = Annotated[
    float,
    typer.Option(
        "--max-duration",
        envvar="SEW_MAX_DURATION",
        min=0.1,
        help="Seconds of a cue.",
        rich_help_panel=_CUES,
    ),
]

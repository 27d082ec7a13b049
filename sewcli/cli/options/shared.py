"""Options of the model, the machine and the messages, declared once for all commands."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import typer

from sewcli.chunking import DEFAULT_CHUNK, DEFAULT_STRIDE
from sewcli.cli.options.words import model_names
from sewcli.cli.preferred import given_or_preferred

_RUN = "Model and machine"
_AUDIO = "Audio and chunks"
_OUTPUT = "Output"
_SCORING = "Scoring"

Quiet = Annotated[
    bool,
    typer.Option(
        "-q",
        "--quiet",
        envvar="SEW_QUIET",
        help="No progress, no warnings; errors only.",
        rich_help_panel=_OUTPUT,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "-v",
        "--verbose",
        envvar="SEW_VERBOSE",
        help="Tell the engine, the device, and when each file was done.",
        rich_help_panel=_OUTPUT,
    ),
]
ProgressMode = Annotated[
    Literal["auto", "log", "none"],
    typer.Option(
        "--progress",
        envvar="SEW_PROGRESS",
        help="auto shows a line on a terminal, log writes one every 30 s anywhere.",
        rich_help_panel=_OUTPUT,
    ),
]
NoProgress = Annotated[
    bool,
    typer.Option(
        "--no-progress",
        envvar="SEW_NO_PROGRESS",
        help="Show no progress.",
        rich_help_panel=_OUTPUT,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        envvar="SEW_DEBUG",
        help="As --verbose, and the traceback of an error.",
        rich_help_panel=_OUTPUT,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        envvar="SEW_MODEL",
        callback=given_or_preferred,
        autocompletion=model_names,
        metavar="ALIAS|DIR|REPO",
        help="Which model; see `sew models list`. One that SEW_MODEL or a file names counts where its "
        "task fits.",
        rich_help_panel=_RUN,
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(
        "--revision",
        envvar="SEW_REVISION",
        help="Branch, tag or commit of a hub model.",
        rich_help_panel=_RUN,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", envvar="SEW_DEVICE", help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=_RUN
    ),
]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16", "int8"],
    typer.Option(
        "--dtype",
        envvar="SEW_DTYPE",
        help="Of the network; auto is float32. int8 is for linear layers on a CPU.",
        rich_help_panel=_RUN,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        envvar="SEW_THREADS",
        min=1,
        max=256,
        help="CPU threads of the network.",
        rich_help_panel=_RUN,
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        envvar="SEW_COMPILE",
        help="Compile the attention of SEW-D for the GPU: a long run is faster, its start slower.",
        rich_help_panel=_RUN,
    ),
]
Engine = Annotated[
    Literal["auto", "fast", "reference"],
    typer.Option(
        "--engine",
        envvar="SEW_ENGINE",
        help="fast is sew's own, reference is transformers; auto takes fast where it covers the model.",
        rich_help_panel=_RUN,
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", envvar="SEW_OFFLINE", help="Use no network.", rich_help_panel=_RUN)
]


def seconds_of_batch(given: str) -> float | None:
    """Seconds from 0 up, None for auto."""
    if given == "auto":
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not (0 <= seconds < math.inf):
        raise typer.BadParameter(f"{given!r} is neither a number of seconds from 0 up nor auto.")
    return seconds


BatchSeconds = Annotated[
    float | None,
    typer.Option(
        "--batch-seconds",
        envvar="SEW_BATCH_SECONDS",
        metavar="SECONDS|auto",
        parser=seconds_of_batch,
        help="Audio seconds a batch; auto by default. The text does not depend on it.",
        rich_help_panel=_RUN,
    ),
]

_MOST_WORKERS = 256


def workers(given: str) -> int | None:
    """A number of processes, None for auto."""
    if given == "auto":
        return None
    if not (given.isascii() and given.isdecimal() and int(given) <= _MOST_WORKERS):
        raise typer.BadParameter(f"{given!r} is neither a number from 0 to {_MOST_WORKERS} nor auto.")
    return int(given)


ReadWorkers = Annotated[
    int | None,
    typer.Option(
        "--read-workers",
        envvar="SEW_READ_WORKERS",
        metavar="N|auto",
        parser=workers,
        help="Processes that decode audio beside the network; auto has some beside a GPU, 0 is threads. The "
        "text does not depend on it.",
        rich_help_panel=_RUN,
    ),
]
Chunk = Annotated[
    float | None,
    typer.Option(
        "--chunk",
        envvar="SEW_CHUNK",
        help=f"Seconds the network reads at a time; {DEFAULT_CHUNK:g} where the model has no default.",
        rich_help_panel=_AUDIO,
    ),
]
Stride = Annotated[
    float | None,
    typer.Option(
        "--stride",
        envvar="SEW_STRIDE",
        help="Seconds of each chunk's ends that serve as context only; "
        f"{DEFAULT_STRIDE:g} where the model has no default.",
        rich_help_panel=_AUDIO,
    ),
]
Statistics = Annotated[
    Literal["file", "chunk"],
    typer.Option(
        "--statistics",
        envvar="SEW_STATISTICS",
        help="Normalise by the whole file or by each chunk alone.",
        rich_help_panel=_AUDIO,
    ),
]
AudioEngine = Annotated[
    Literal["soundfile", "librosa"],
    typer.Option(
        "--audio-engine",
        envvar="SEW_AUDIO_ENGINE",
        help="soundfile streams; librosa is librosa.load. The samples are the same.",
        rich_help_panel=_AUDIO,
    ),
]
Normalizer = Annotated[
    Literal["none", "basic", "whisper-en"],
    typer.Option(
        "--normalizer",
        envvar="SEW_NORMALIZER",
        help="What is done to both texts before they are compared; letter case is ignored always.",
        rich_help_panel=_SCORING,
    ),
]
Metric = Annotated[
    Literal["wer", "cer"],
    typer.Option(
        "--metric",
        envvar="SEW_METRIC",
        help="Errors that decide: in words, or in characters, as where words are not written apart.",
        rich_help_panel=_SCORING,
    ),
]
ScoreFormat = Annotated[
    list[str] | None,
    typer.Option(
        "-f",
        "--format",
        envvar="SEW_FORMAT",
        metavar="<text|json>",
        help="text, a table (the default), or json, one object.",
        rich_help_panel=_OUTPUT,
    ),
]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        envvar="SEW_SKIP_BAD",
        help="Go on without the bad rows of the manifest, and those whose file is missing.",
        rich_help_panel=_SCORING,
    ),
]

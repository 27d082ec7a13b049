"""Options of `--window`, keyword spotting over long audio, declared once for `classify` and `evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from sewcli.cli.ended import ended
from sewcli.errors import UsageError
from sewcli.results import Detections, KeywordEvent
from sewcli.spotting.options import SpottingOptions

if TYPE_CHECKING:
    from sewcli.writers import Result

_PANEL = "Keyword spotting over long audio (--window)"

Window = Annotated[
    float | None,
    typer.Option(
        "--window",
        envvar="SEW_WINDOW",
        metavar="SECONDS",
        help="Look for keywords in windows of so many seconds, 1.0 for example, over audio of any length.",
        rich_help_panel=_PANEL,
    ),
]
Hop = Annotated[
    float,
    typer.Option(
        "--hop",
        envvar="SEW_HOP",
        metavar="SECONDS",
        help="From one window to the next.",
        rich_help_panel=_PANEL,
    ),
]
Smooth = Annotated[
    int,
    typer.Option(
        "--smooth",
        envvar="SEW_SMOOTH",
        min=1,
        help="Windows, centred, that a score is the mean of.",
        rich_help_panel=_PANEL,
    ),
]
Threshold = Annotated[
    float,
    typer.Option(
        "--threshold", envvar="SEW_THRESHOLD", help="The least score of a hit.", rich_help_panel=_PANEL
    ),
]
MergeGap = Annotated[
    float,
    typer.Option(
        "--merge-gap",
        envvar="SEW_MERGE_GAP",
        metavar="SECONDS",
        help="Hits of one label with no more than this between them are one event.",
        rich_help_panel=_PANEL,
    ),
]
Gate = Annotated[
    float,
    typer.Option(
        "--gate",
        envvar="SEW_GATE",
        metavar="DBFS",
        help="Windows below this level are silence and not run (full scale square: 0).",
        rich_help_panel=_PANEL,
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--labels",
        envvar="SEW_LABELS",
        metavar="LABEL,...",
        help="Only these labels, separated by commas (may be repeated).",
        rich_help_panel=_PANEL,
    ),
]

_NAMES = ("hop", "smooth", "threshold", "merge_gap", "gate", "labels")


def given(
    context: typer.Context,
    window: float | None,
    hop: float,
    smooth: int,
    threshold: float,
    merge_gap: float,
    gate: float,
    labels: list[str] | None,
) -> SpottingOptions | None:
    """What the options say; None without --window.

    Raises:
        UsageError: a value cannot work, or an option was given on the command line without --window.
    """
    if window is None:
        for name in _NAMES:
            if on_command_line(context, name):
                raise UsageError(f"--{name.replace('_', '-')} needs --window", hint="add --window 1.0")
        return None
    names = tuple(name.strip() for part in labels or () for name in part.split(",") if name.strip())
    options = SpottingOptions(window, hop, smooth, threshold, merge_gap, gate, names)
    options.check()
    return options


def on_command_line(context: typer.Context, name: str) -> bool:
    """Whether an option was given on the command line, and not by the environment or a file."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def as_written(results: Iterator[Result], *, at_once: bool) -> Iterator[Result]:
    """Events on standard output as they end, or in the file of their input when that is over."""
    with ended(results):
        for result in results:
            if isinstance(result, Detections) and at_once:
                yield replace(result, events=())  # they have been written
            elif at_once or not isinstance(result, KeywordEvent):
                yield result

"""The options of --vad, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

from sewcli.reading.activity_options import ActivityOptions

DEFAULTS = ActivityOptions()
_PANEL = "Silence"

Vad = Annotated[
    bool,
    typer.Option(
        "--vad",
        envvar="SEW_VAD",
        help="Leave long silences out, found by their level: faster, and the text may change.",
        rich_help_panel=_PANEL,
    ),
]
Threshold = Annotated[
    float,
    typer.Option(
        envvar="SEW_VAD_THRESHOLD",
        metavar="DB",
        help="Speech begins so far above the noise floor of the file.",
        rich_help_panel=_PANEL,
    ),
]
Silence = Annotated[
    float,
    typer.Option(
        envvar="SEW_VAD_SILENCE",
        metavar="SECONDS",
        help="Shorter silences stay.",
        rich_help_panel=_PANEL,
    ),
]
Padding = Annotated[
    float,
    typer.Option(
        envvar="SEW_VAD_PADDING",
        metavar="SECONDS",
        help="Of silence kept on each side of speech.",
        rich_help_panel=_PANEL,
    ),
]

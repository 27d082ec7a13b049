"""--plot: pictures of the inputs, their files planned before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sewcli.cli.input_options import InputOptions
from sewcli.cli.output.keeping import Beside, in_pattern
from sewcli.cli.output.template import Template
from sewcli.errors import UsageError

Plot = Annotated[
    str | None,
    typer.Option(
        "--plot",
        envvar="SEW_PLOT",
        metavar="FILE.png|DIR",
        help="Draw waveform, mel spectrogram and what was heard; several inputs need a directory, or a "
        "pattern such as pictures/{stem}{part}.png.",
        rich_help_panel="Output",
    ),
]


def _pictures(where: str, inputs: InputOptions, *, replace: bool) -> Beside:
    """Where pictures go.

    Args:
        where: a file for one input, a directory, or a pattern with the fields of --output-template.
        inputs: all of them, listed.
        replace: whether files that exist may be replaced.

    Raises:
        UsageError: matplotlib is not installed, files collide or exist, or there is one file for several.
    """
    from sewcli.pictures.draw import require_matplotlib

    require_matplotlib()
    path = Path(where)
    if path.suffix and path.suffix.lower() != ".png" and not path.is_dir():
        raise UsageError(f"--plot {where}: pictures are written as .png")
    root, pattern = in_pattern(path)
    template = pattern or "{dir}/{stem}{part}.png"
    if pattern is None and path.suffix and not path.is_dir():
        if not inputs.one_file:
            raise UsageError(
                f"--plot {where}: one file, and there may be several inputs",
                hint="give a directory, or a pattern such as pictures/{stem}{part}.png",
            )
        root, template = path.parent, path.name
    return Beside("--plot", root, ".png", inputs.sources(), Template(template), replace=replace)


def opened(where: str | None, wanted: InputOptions, *, replaced: bool) -> tuple[InputOptions, Beside | None]:
    """The inputs, listed where pictures are asked for, and where those go."""
    if where is None:
        return wanted, None
    listed = wanted.at_once()
    return listed, _pictures(where, listed, replace=replaced)

"""`sew train`: train a model by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sewcli.cli import options as opt


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe; see recipes/.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", envvar="SEW_OUTPUT", metavar="DIR", help="Checkpoints, log and model."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="SEW_DATA",
            metavar="DIR",
            help="Where the recipe's data lies; the recipe's folder by default.",
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            envvar="SEW_SET",
            metavar="KEY=VALUE",
            help="Override a setting of the recipe (may be repeated).",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", envvar="SEW_RESUME", help="Continue from the checkpoint in DIR.")
    ] = False,
    threads: opt.Threads = None,
    quiet: opt.Quiet = False,
    debug: opt.Debug = False,  # noqa: ARG001 - read by main, before any command
) -> None:
    """Train a CTC or classification model and write it to DIR/model.

    sew train recipes/nano.toml --data speech/ -o runs/nano
    """
    from sewcli.cli import run
    from sewcli.errors import UsageError

    run.set_up_messages(quiet=quiet)
    if (output / "state.pt").exists() and not resume:
        raise UsageError(f"{output} holds a training run", hint="add --resume, or choose another -o")

    from sewcli.training.recipe import load_recipe
    from sewcli.training.session import train_model

    train_model(load_recipe(recipe, data, override or []), output, threads=threads)

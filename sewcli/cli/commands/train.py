"""`sew train`: train a model by a recipe, or fine-tune one on a manifest."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sewcli.cli import garbage
from sewcli.cli.options import shared as opt

if TYPE_CHECKING:
    from sewcli.training.recipe import Recipe


def train(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE|MANIFEST",
            help="A TOML recipe (see recipes/), or clips to fine-tune a model on: a JSON Lines manifest, an "
            "audiofolder, a saved data set or a published corpus.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", envvar="SEW_OUTPUT", metavar="DIR", help="Checkpoints, logs and model."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            metavar="ALIAS|DIR|REPO",
            help="The model to start from, instead of the recipe's init; nano by default for a manifest.",
        ),
    ] = None,
    revision: opt.Revision = None,
    dev: Annotated[
        Path | None,
        typer.Option(
            envvar="SEW_DEV", metavar="MANIFEST", help="Clips to choose by; without it 5 % are held out."
        ),
    ] = None,
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
            help="Override a setting of the recipe (may be repeated); config.KEY for the configuration.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", envvar="SEW_RESUME", help="Continue from the checkpoint in DIR.")
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", envvar="SEW_SKIP_BAD", help="Leave bad rows out instead of refusing all."),
    ] = False,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    offline: opt.Offline = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    no_progress: opt.NoProgress = False,
    debug: opt.Debug = False,  # noqa: ARG001 - read by main, before any command
) -> None:
    """Train or fine-tune a CTC or classification model and write it to DIR/model.

    sew train recipes/nano.toml --data speech/ -o runs/nano

    sew train my-clips.jsonl -m sew-tiny -o runs/mine
    """
    from sewcli.cli.messages import Messages, set_up_messages
    from sewcli.cli.output.places import make_folder
    from sewcli.errors import UsageError
    from sewcli.hub.offline import set_offline

    # the other processes of `accelerate launch` have nothing to say that the first does not
    Messages(quiet=quiet, verbose=verbose).set_up()
    if os.environ.get("RANK", "0") != "0":
        set_up_messages(quiet=True)
    make_folder("-o", output)
    if offline:
        set_offline()

    from sewcli.training.checkpoint import has_checkpoint

    if (has_checkpoint(output) or (output / "model").exists()) and not resume:
        raise UsageError(f"{output} holds a training run", hint="add --resume, or choose another -o")
    if resume and not has_checkpoint(output):
        logging.getLogger("sewcli").info("%s holds no checkpoint: a new run begins there", output)
    recipe = _recipe(source, output, model, revision, dev, data, override or [])

    from sewcli.cli.commands.training_progress import training_observer
    from sewcli.training.session import train_model

    garbage.as_usual()
    train_model(
        recipe,
        output,
        device=device,
        threads=threads,
        offline=offline,
        skip_bad=skip_bad,
        observers=[training_observer(recipe.steps, shown=not (quiet or no_progress))],
    )


def _recipe(
    source: Path,
    output: Path,
    model: str | None,
    revision: str | None,
    dev: Path | None,
    data: Path | None,
    overrides: list[str],
) -> Recipe:
    """The recipe of a file, or the one for fine-tuning on clips."""
    from sewcli.inputs.corpus import corpus_task
    from sewcli.registry import load_registry
    from sewcli.training.finetune import fine_tune_recipe
    from sewcli.training.recipe import load_recipe

    if source.suffix.lower() == ".toml":
        changes = {
            "init": model,
            "revision": revision,
            "dev": None if dev is None else str(dev.absolute()),
        }
        given = {key: value for key, value in changes.items() if value is not None}
        return load_recipe(source, data, overrides, given)
    labelled = corpus_task(source) == "classification"
    logging.getLogger("sewcli").info("fine-tuning on the %s of %s", "labels" if labelled else "texts", source)
    init = model if model is not None else load_registry().default_model("ctc").name
    name = output.resolve().name
    return fine_tune_recipe(
        source, dev, labelled=labelled, init=init, revision=revision, name=name, overrides=overrides
    )

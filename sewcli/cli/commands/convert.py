"""`sew models convert`: a model directory with safetensors from one with a pickle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from sewcli.errors import ModelError, UsageError


def convert(
    model: Annotated[str, typer.Argument(metavar="SRC", help="Directory, alias or hub repository.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where the new model goes; a new directory.")
    ],
    revision: Annotated[str | None, typer.Option(help="Commit hash, tag or branch of a hub model.")] = None,
    offline: Annotated[bool, typer.Option("--offline", envvar="SEW_OFFLINE", help="Use no network.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no messages.")] = False,
) -> None:
    """Make a model with safetensors of one with a pickle, pytorch_model.bin, and print its directory.

    The pickle is read for its tensors alone: nothing in it is run.

    sew models convert someone/sew-model -o sew-model && sew transcribe -m ./sew-model talk.wav
    """
    from sewcli.cli.messages import set_up_messages
    from sewcli.cli.output.places import check_folder
    from sewcli.cli.streams import write_lines
    from sewcli.hub.cache import PICKLED
    from sewcli.hub.fetching import fetch
    from sewcli.hub.offline import set_offline
    from sewcli.registry import resolve

    set_up_messages(quiet=quiet)
    check_folder("-o", output, "name a new directory")
    if offline:
        set_offline()
    local = fetch(resolve(model, revision=revision), offline=offline, progress=not quiet, pickles=True)
    source = local.directory
    if not (source / PICKLED).is_file():
        raise UsageError(f"{model} has no {PICKLED}", hint=f"use it as it is: -m {model}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"-o {output}: is there and not empty", hint="name a new directory")

    from sewcli.acoustic.pickled import read_pickle

    _write(source, read_pickle(source / PICKLED), output)
    write_lines(str(output))


def _write(source: Path, tensors: dict[str, Any], output: Path) -> None:
    """Make the model under another name, and move it to `output` when it is whole."""
    from sewcli.acoustic.checkpoint import declared_task, inspect
    from sewcli.acoustic.pickled import write_safetensors
    from sewcli.atomic import temporary_beside
    from sewcli.hub.cache import WEIGHTS

    is_there = output.is_dir()
    made = temporary_beside(output / WEIGHTS if is_there else output)
    try:
        made.mkdir(parents=True)
        for file in source.iterdir():
            if file.suffix in (".json", ".txt", ".md") and file.is_file() and "index" not in file.name:
                shutil.copyfile(file, made / file.name)
        write_safetensors(tensors, made / WEIGHTS)
        inspect(made, declared_task(made) or "features")
        if is_there:
            for file in made.iterdir():
                file.rename(output / file.name)
        else:
            made.rename(output)
    except OSError as error:
        raise ModelError(
            f"-o {output}: cannot be written: {error.strerror or error}",
            hint="choose another directory",
            code="not_writable",
        ) from error
    except ModelError as error:
        # it is what the model lies in that is wrong
        message = error.message.replace(str(made), str(source))
        raise ModelError(message, hint=error.hint, code=error.code) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)

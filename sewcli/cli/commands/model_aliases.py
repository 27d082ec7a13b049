"""`sew models add`, `remove` and `default`: aliases and default models of one's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sewcli.errors import UsageError

if TYPE_CHECKING:
    from sewcli.models_toml import ModelSpec


def add(
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The name to give it.")],
    model: Annotated[str, typer.Argument(metavar="DIR|REPO|ALIAS", help="The model it stands for.")],
    revision: Annotated[str | None, typer.Option(help="Commit hash, tag or branch of a hub model.")] = None,
    language: Annotated[str | None, typer.Option(help="ISO 639-1 code, as en.")] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX identifier, as apache-2.0.")] = None,
    description: Annotated[str | None, typer.Option(help="One line.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an alias of that name.")] = False,
) -> None:
    """Give a model an alias, in models.toml in the user's configuration directory.

    A hub model that is on this machine is pinned to the commit that is there. An alias that has the name of
    a packaged one takes its place, and says so.
    """
    from sewcli.cli.commands.user_models import alone, change
    from sewcli.cli.streams import write_message
    from sewcli.registry import load_registry, resolve

    given = {"language": language, "licence": licence, "description": description}
    facts = _facts(resolve(model, revision=revision))
    facts |= {key: value for key, value in given.items() if value is not None}

    def edit(document: dict[str, Any]) -> None:
        document.setdefault("models", {})[alias] = facts

    with alone():
        taken = load_registry().models.get(alias)
        if taken is not None and taken.source == "user" and not overwrite:
            raise UsageError(
                f"the alias {alias} is there, for {taken.repo or taken.path}", hint="add --overwrite"
            )
        file = change(edit)
    shadows = "; it takes the place of the packaged alias" if load_registry().models[alias].shadows else ""
    where = facts["path"] if "path" in facts else f"the hub repository {facts['repo']}"
    write_message(f"{alias} is {where} now, by {file}{shadows}")


def remove(alias: Annotated[str, typer.Argument(metavar="ALIAS", help="An alias of your own.")]) -> None:
    """Forget an alias that was added; the model's files stay where they are."""
    from sewcli.cli.commands.user_models import alone, change
    from sewcli.cli.streams import write_message
    from sewcli.registry import load_registry, resolve

    def edit(document: dict[str, Any]) -> None:
        del document["models"][alias]
        defaults = document.get("defaults", {})
        if not spec.shadows:  # else the packaged model of that name is the default again
            for task in [task for task, name in defaults.items() if name == alias]:
                del defaults[task]
            if not defaults:
                document.pop("defaults", None)

    with alone():
        spec = load_registry().models.get(alias) or resolve(alias)
        if spec.source != "user":
            raise UsageError(
                f"{alias} is no alias of yours" + (": it comes with the package" if spec.source else ""),
                hint="`sew models list -f json` tells the source of each",
            )
        before = load_registry().defaults
        file = change(edit)
        after = load_registry().defaults
    done = [f"{alias} is removed from {file}"]
    if spec.shadows:
        done.append("the packaged model of that name is back")
    done += [
        f"the default for {task} is {after[task]} again" for task in before if before[task] != after[task]
    ]
    write_message("; ".join(done))


def default(
    alias: Annotated[
        str | None, typer.Argument(metavar="ALIAS", help="The model to take where none is given.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="ctc, classification or features; by default the model's own task.")
    ] = None,
) -> None:
    """Choose the default model of a task, or print the defaults: task<TAB>alias."""
    from sewcli.cli.commands.user_models import alone, change
    from sewcli.cli.streams import write_message, write_stdout
    from sewcli.models_toml import TASKS
    from sewcli.registry import load_registry, resolve

    if task is not None and task not in TASKS:
        raise UsageError(f"no task {task!r}", hint=f"--task takes {', '.join(TASKS)}")
    if alias is None:
        for known, name in load_registry().defaults.items():
            write_stdout(f"{known}\t{name}\n".encode())
        return
    with alone():
        spec = load_registry().models.get(alias) or resolve(alias)
        if spec.alias is None:
            raise UsageError(f"{alias} is no alias", hint=f"give it one: sew models add ALIAS {alias}")
        chosen = task or spec.task
        if chosen not in TASKS:
            raise UsageError(f"the task of {alias} is not known", hint=f"--task takes {', '.join(TASKS)}")

        def edit(document: dict[str, Any]) -> None:
            document.setdefault("defaults", {})[chosen] = alias

        file = change(edit)
    write_message(f"{alias} is the default for {chosen} now, by {file}")


def _facts(spec: ModelSpec) -> dict[str, Any]:
    """What the file says of a model: where it is, and what its files or another alias tell."""
    from sewcli.hub.cache import cached_snapshot
    from sewcli.models_toml import OFFSET_KEYS

    directory = spec.path
    where: dict[str, Any] = {"path": str(directory.absolute())} if directory is not None else {}
    if spec.repo is not None:
        directory = cached_snapshot(spec.repo, spec.revision)
        where = {"repo": spec.repo, "revision": spec.revision if directory is None else directory.name}
    keys = ("family", "task", "language", "licence", "parameters", "size_mb", "description")
    facts = {key: getattr(spec, key) for key in keys if spec.task is not None}  # else nothing is known
    if directory is not None:
        facts |= facts_of_files(directory)
    options: dict[str, Any] = {}
    if spec.alias is not None or spec.repo is not None:  # a directory tells them itself, in its sew.json
        facts |= {key: getattr(spec, key) for key in OFFSET_KEYS}
        options = {key: value for key, value in asdict(spec.defaults).items() if value is not None}
    return where | {key: value for key, value in facts.items() if value} | options


def facts_of_files(directory: Path) -> dict[str, Any]:
    """Family, task and size in megabytes of a model, by its files (ModelError where it is none)."""
    from sewcli.acoustic.checkpoint import declared_task, family_of
    from sewcli.acoustic.files import read_config

    config = read_config(directory)
    family = family_of(directory, config)
    size = sum(file.stat().st_size for file in directory.glob("*.safetensors")) / 1e6
    facts = {"family": family, "task": declared_task(directory), "size_mb": round(size, 1)}
    return {key: value for key, value in facts.items() if value}

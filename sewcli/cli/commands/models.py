"""`sew models`: which models there are, and where their files lie.

`list` and `show` read `models.toml` and look at the disk; neither reaches a network.
`model_aliases` writes the user's models.toml, `model_files` fetches and checks files.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sewcli.cli.commands import convert, model_aliases, model_files
from sewcli.cli.commands.model_aliases import facts_of_files
from sewcli.cli.parser import CommandGroup
from sewcli.cli.streams import on_terminal, write_lines, write_stdout
from sewcli.hub import cache
from sewcli.registry import ModelSpec, Registry, load_registry, resolve
from sewcli.writers.jsonl import SCHEMA_VERSION, dump

app = CommandGroup("The models that -m knows, their aliases and their files.")

_COLUMNS = ("alias", "task", "family", "language", "licence", "size", "where", "description")
_NARROW_COLUMNS = ("alias", "task", "size", "where", "description")
_WIDE = 120


_FormatOption = Annotated[Literal["text", "json"], typer.Option("-f", "--format", help="Output format.")]
_JsonOption = Annotated[bool, typer.Option("--json", help="The same as -f json.")]


@app.command("list")
def list_models(form: _FormatOption = "text", as_json: _JsonOption = False) -> None:
    """List the aliases: task, family, language, licence, size, and whether the files are here.

    A table in a terminal, otherwise one line a model with tabs between the columns. With -f json one
    object a line.
    """
    registry = load_registry()
    records = [describe(spec, registry) for spec in registry.models.values()]
    if as_json or form == "json":
        for record in records:
            write_stdout(dump(record))
    elif on_terminal():
        _print_table(records)
    else:
        for record in records:
            write_lines("\t".join(_row(record)))


@app.command()
def show(
    model: Annotated[str, typer.Argument(metavar="ALIAS", help="Alias, directory or hub identifier.")],
    revision: Annotated[str | None, typer.Option(help="Commit hash, tag or branch of a hub model.")] = None,
    form: _FormatOption = "text",
    as_json: _JsonOption = False,
) -> None:
    """Show everything known about one model, and where its files are."""
    registry = load_registry()
    record = describe(resolve(model, registry=registry, revision=revision), registry)
    record["labels"] = _labels(record)
    if as_json or form == "json":
        write_stdout(dump(record))
        return
    for key, value in record.items():
        if key != "schema_version":
            write_lines(f"{key}: {_readable(value)}")


app.command("pull")(model_files.pull)
app.command("add")(model_aliases.add)
app.command("remove")(model_aliases.remove)
app.command("default")(model_aliases.default)
app.command("convert")(convert.convert)
app.command("verify")(model_files.verify)
app.command("path")(model_files.path)


def describe(spec: ModelSpec, registry: Registry) -> dict[str, Any]:
    """Collect what both commands print about a model.

    Returns a JSON object. `where` is `embedded`, `local`, `cached`, `hub` (not on this machine) or `missing`
    (a directory that is not there); `directory` is that of the files, None for a model on the hub only.
    Raises ModelError for a directory that holds no SEW model.
    """
    directory = spec.path
    if spec.repo is not None:
        directory = cache.cached_snapshot(spec.repo, spec.revision)
        where = "hub" if directory is None else "cached"
    elif directory is None or not directory.is_dir():
        where = "missing"
    else:
        where = "embedded" if spec.embedded else "local"
        if spec.alias is None and (directory / "config.json").is_file():  # what no entry tells, its files do
            spec = replace(spec, **facts_of_files(directory))
    return {
        "schema_version": SCHEMA_VERSION,
        "alias": spec.alias,
        "default_for": registry.default_tasks(spec),
        "task": spec.task,
        "family": spec.family,
        "language": spec.language,
        "licence": spec.licence,
        "parameters": spec.parameters,
        "size_mb": spec.size_mb,
        "defaults": {name: value for name, value in asdict(spec.defaults).items() if value is not None},
        "description": spec.description,
        "repo": spec.repo,
        "revision": spec.revision,
        "where": where,
        "directory": None if directory is None else str(directory),
        "source": spec.source,
        "shadows": spec.shadows,
    }


def _labels(record: dict[str, Any]) -> list[str] | None:
    """The labels of a classifier whose files are here."""
    if record["task"] != "classification" or record["directory"] is None:
        return None
    from sewcli.acoustic.checkpoint import label_names
    from sewcli.acoustic.files import read_config

    directory = Path(record["directory"])
    if not (directory / "config.json").is_file():
        return None
    try:
        return list(label_names(read_config(directory)))
    except KeyError:  # not numbered one by one, which is told when it is loaded
        return None


def _row(record: dict[str, Any]) -> list[str]:
    size = record["size_mb"]
    cells = record | {"size": None if size is None else f"{size:.0f} MB"}
    if record["shadows"]:
        cells["description"] = f"{record['description']} (yours, in place of the packaged {record['alias']})"
    return [str(cells[column] or "-") for column in _COLUMNS]


def _print_table(records: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, emoji=False, highlight=False)
    shown = _COLUMNS if console.width >= _WIDE else _NARROW_COLUMNS
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="* default of its task")
    for column in shown:
        # Only the description may be folded: a name that is cut cannot be typed again.
        justify: Literal["left", "right"] = "right" if column == "size" else "left"
        table.add_column(column, no_wrap=column != "description", justify=justify)
    for record in records:
        cells = dict(zip(_COLUMNS, _row(record), strict=True))
        if record["default_for"]:
            cells["alias"] += " *"
        table.add_row(*(cells[column] for column in shown))
    console.print(table)


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{name} {_readable(one)}" for name, one in value.items()]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if value is None or value == "":
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)

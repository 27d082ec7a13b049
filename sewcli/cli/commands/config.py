"""`sew config`: every setting, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from sewcli.chunking import DEFAULT_CHUNK, DEFAULT_STRIDE
from sewcli.cli.options.defaults import command_context, commands_with_settings, in_force, option_value, plain
from sewcli.cli.parser import CommandGroup
from sewcli.cli.preferred import PreferredModel, likely_model
from sewcli.decoding.options import DEFAULT_ALPHA, DEFAULT_BEAM_WIDTH, DEFAULT_BETA
from sewcli.errors import SewError
from sewcli.settings import Setting, read_settings, settings_files

app = CommandGroup("Show the settings in force.")

#: commands whose models are for another task than ctc
_TASKS = {"classify": "classification", "embed": "features"}
#: what options are that neither the user nor the model has a value for
_OF_NO_MODEL = {
    "chunk": DEFAULT_CHUNK,
    "stride": DEFAULT_STRIDE,
    "beam-width": DEFAULT_BEAM_WIDTH,
    "alpha": DEFAULT_ALPHA,
    "beta": DEFAULT_BETA,
}


@app.callback()
def _group() -> None:
    """Show the settings in force."""


@app.command()
def show(
    context: typer.Context,
    form: Annotated[Literal["text", "json"], typer.Option("-f", "--format", help="Output format.")] = "text",
) -> None:
    """Show every setting, its value and where that comes from: environment, file or default.

    An option on the command line comes first; then its variable SEW_*; ./sew.toml, or [tool.sew] in
    ./pyproject.toml; config.toml in the user's configuration directory; and the default. A setting whose
    value is not the same for all commands has a line for each: COMMAND.KEY.
    """
    from sewcli.cli.commands.columns import write_columns
    from sewcli.cli.streams import write_lines, write_stdout
    from sewcli.writers.jsonl import SCHEMA_VERSION, dump

    root = context.find_root()
    rows = _merged(list(_rows(root)))
    files = [{"path": str(file.path), "found": file.path.is_file()} for file in settings_files()]
    if form == "json":
        write_stdout(dump({"schema_version": SCHEMA_VERSION, "files": files, "settings": rows}))
        return
    write_lines(*(f"# {file['path']}: {'read' if file['found'] else 'not there'}" for file in files))
    write_columns([[_name(row), _readable(row["value"]), _whence(row)] for row in rows])


def _rows(root: Any) -> Iterator[dict[str, Any]]:
    """A row for each setting of each command."""
    commands = commands_with_settings(root.command)
    settings = read_settings(commands)
    for name, options in commands.items():
        chosen = in_force(settings, name)
        context = command_context(root, name)
        of_model = _of_model(context, options, chosen, _TASKS.get(name, "ctc"))
        for key, parameter in options.items():
            found = _value(context, parameter, chosen.get(key))
            if found.value is None and key in of_model:
                value, origin = of_model[key]
                found = found._replace(value=value, origin=origin)
            yield {"key": key, "command": name, **found._asdict()}


def _of_model(
    context: typer.Context, options: Mapping[str, Any], chosen: Mapping[str, Setting], task: str
) -> dict[str, tuple[Any, str | None]]:
    """The values of options that a model may have defaults for, each with the entry that has it, or None."""
    found: dict[str, tuple[Any, str | None]] = {key: (value, None) for key, value in _OF_NO_MODEL.items()}
    if "model" in options:
        name = _value(context, options["model"], chosen.get("model")).value
        try:
            spec = likely_model(None if name is None else PreferredModel(name), task)
        except SewError:  # the command will say so
            return found
        own = asdict(spec.defaults_for(task)).items()
        found |= {
            name.replace("_", "-"): (value, f"models.toml [{spec.name}]")
            for name, value in own
            if value is not None
        }
    return found


class _Found(NamedTuple):
    """A value, its source, the variable or file that it stands in, and what is wrong with it."""

    value: Any
    source: str
    origin: str | None = None
    problem: str | None = None


def _value(context: typer.Context, parameter: Any, setting: Setting | None) -> _Found:
    """A setting as its option reads it; as it stands where the option would refuse it."""
    given = parameter.value_from_envvar(context)
    source, origin, refusal = "environment", parameter.envvar, None
    if given is None:
        if setting is None:
            return _Found(_plain(parameter.get_default(context)), "default")
        given, source, origin = option_value(parameter, setting), setting.file.source, setting.place
        refusal = setting.refusal
    try:
        value = _plain(parameter.process_value(context, given))
    except typer.BadParameter as error:
        return _Found(_plain(given), source, origin, plain(error.message).rstrip("."))
    return _Found(value, source, origin, refusal)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _merged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for the commands that agree on a setting, with the command None."""
    merged = []
    for key in sorted({row["key"] for row in rows}):
        same = [row for row in rows if row["key"] == key]
        facts = [tuple(row[name] for name in _Found._fields) for row in same]
        merged += [same[0] | {"command": None}] if facts.count(facts[0]) == len(facts) else same
    return merged


def _name(row: dict[str, Any]) -> str:
    return row["key"] if row["command"] is None else f"{row['command']}.{row['key']}"


def _whence(row: dict[str, Any]) -> str:
    whence = str(row["origin"] or row["source"])
    return whence if row["problem"] is None else f"{whence}: {row['problem']}"


def _readable(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None or value == "" else str(value)

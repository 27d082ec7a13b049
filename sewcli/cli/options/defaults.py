"""Settings of files as the defaults of options: Typer looks them up after the command line and SEW_*."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from sewcli.errors import UsageError
from sewcli.settings import Setting, read_settings, settings_files

#: read from the command line and the environment before any file
_NOT_IN_FILES = ("debug",)


def plain(message: str) -> str:
    """What is wrong with a value, without the words of the library below Typer."""
    return message.replace("Value error, ", "")


def options_of(command: Any) -> dict[str, Any]:
    """The options of a command that can be set in a file, by their key: those with a SEW_* variable."""
    keys = {}
    for parameter in command.params:
        variable = parameter.envvar
        if isinstance(variable, str) and variable.startswith("SEW_"):
            keys[variable.removeprefix("SEW_").lower().replace("_", "-")] = parameter
    return {key: parameter for key, parameter in keys.items() if key not in _NOT_IN_FILES}


def commands_with_settings(group: Any) -> dict[str, dict[str, Any]]:
    """The commands of `sew` that have settings, and their options by key."""
    context = typer.Context(group)
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
    found = {name: options_of(command) for name, command in commands.items()}
    return {name: options for name, options in found.items() if options}


def in_force(settings: Sequence[Setting], command: str) -> dict[str, Setting]:
    """The strongest setting of each key for a command."""
    ours = (setting for setting in settings if setting.command in (None, command))
    return {setting.key: setting for setting in ours}


def blamed(context: Any, message: str) -> Iterator[str]:
    """Where the options stand that an error is about, if that is not the command line.

    Args:
        context: of the command.
        message: of the error and its hint, which name an option or its value.
    """
    places: dict[str, Setting] = {}
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name)
        if source is None or source.name not in ("ENVIRONMENT", "DEFAULT_MAP"):
            continue
        option, value = max(parameter.opts, key=len), context.params.get(parameter.name)
        values = value if isinstance(value, list | tuple) else [value]
        values = [one for one in values if isinstance(one, str | Path)]  # a number may stand for anything
        named = (repr(str(one)) in message or str(one) == message.split(":", maxsplit=1)[0] for one in values)
        if not (re.search(rf"(?<![\w-]){option}(?![\w-])", message) or any(named)):
            continue
        if source.name == "ENVIRONMENT":
            yield f"{option} is set by {parameter.envvar}"
            continue
        root = context.find_root()
        places = places or in_force(read_settings(commands_with_settings(root.command)), context.info_name)
        key = parameter.envvar.removeprefix("SEW_").lower().replace("_", "-")
        yield f"{option} is set by {places[key].place}"


def set_defaults(context: typer.Context) -> None:
    """Make the settings of files the defaults of the command that is about to run.

    Raises:
        UsageError: a file is bad, or has a value that the command cannot take or does not take from there.
    """
    if not any(os.path.lexists(file.path) for file in settings_files()):
        return  # without a file no command but the one called is imported
    commands = commands_with_settings(context.command)
    name = context.invoked_subcommand
    if name in commands:
        chosen = in_force(read_settings(commands), name)
        context.default_map = {name: _values(command_context(context, name), commands[name], chosen)}


def command_context(root: Any, name: str) -> typer.Context:
    """The context in which a command's options are read."""
    return typer.Context(root.command.get_command(root, name), parent=root, info_name=name)


def _values(context: typer.Context, options: dict[str, Any], chosen: dict[str, Setting]) -> dict[str, Any]:
    """The value of each parameter, found good by its option."""
    values = {}
    for key, setting in chosen.items():
        if key in options:
            setting.check()
            value = option_value(options[key], setting)
            try:
                options[key].process_value(context, value)
            except typer.BadParameter as error:
                raise _bad_value(setting, plain(error.message)) from error
            values[options[key].name] = value
    return values


def option_value(parameter: Any, setting: Setting) -> str | list[str]:
    """A setting in the form its option takes: a list where that may be repeated or has several values.

    Raises:
        UsageError: it is a list where the option has one value.
    """
    several = getattr(parameter, "multiple", False) or parameter.nargs != 1
    if isinstance(setting.value, str):
        return [setting.value] if several else setting.value
    if not several:
        raise _bad_value(setting, "one value is needed, not a list")
    return setting.value


def _bad_value(setting: Setting, problem: str) -> UsageError:
    shown = setting.value if isinstance(setting.value, str) else ", ".join(setting.value)
    shared = "; what only one command takes stands in its table, as [transcribe]"
    return UsageError(
        f"{setting.place}: {setting.key} = {shown}: {problem.rstrip('.')}",
        hint=f"correct the file{'' if setting.command else shared}",
    )

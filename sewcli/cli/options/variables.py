"""Variables SEW_* that no command reads, such as those that are misspelt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import typer

from sewcli.nearest import nearest

_PREFIX = "SEW_"


class Unknown(NamedTuple):
    """A variable that no command reads, and the nearest that one does, or None."""

    name: str
    meant: str | None

    def __str__(self) -> str:
        hint = "see sew config show" if self.meant is None else f"did you mean {self.meant}?"
        return f"{self.name} is no setting of sew ({hint})"


def unknown_variables(context: Any) -> list[Unknown]:
    """The variables SEW_* of the environment that no command has an option for.

    Args:
        context: of the command that runs; others are imported only for what that one does not know.
    """
    given = {name for name in os.environ if name.startswith(_PREFIX)} - set(_of(context.command, context))
    if not given:
        return []
    root = context.find_root()
    known = set(_of(root.command, root))
    return [Unknown(name, _nearest(name, known)) for name in sorted(given - known)]


def _of(command: Any, context: Any) -> Iterator[str]:
    """The variables of a command, or of all that a group has."""
    for parameter in command.params:
        if isinstance(parameter.envvar, str):
            yield parameter.envvar
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            yield from _of(below, typer.Context(below, parent=context, info_name=name))


def _nearest(name: str, known: set[str]) -> str | None:
    # the prefix would make any two alike
    names = sorted(one.removeprefix(_PREFIX) for one in known)
    close = nearest(name.removeprefix(_PREFIX), names)
    return _PREFIX + close[0] if close else None

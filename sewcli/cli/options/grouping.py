"""Dataclasses of options as parameters of a command: Typer sees every field as an option."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer reads it: in the place of each dataclass its fields, as options of their own.

    All parameters of the command are keyword-only, so that groups without a default stand where the help
    shows their options.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[type, list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        hint = hints[name]
        if not is_dataclass(hint):
            parameters.append(parameter.replace(annotation=hint))
            continue
        assert isinstance(hint, type)
        own = get_type_hints(hint, include_extras=True)
        groups[name] = (hint, [field.name for field in fields(hint)])
        parameters += [
            parameter.replace(name=field.name, default=field.default, annotation=own[field.name])
            for field in fields(hint)
        ]

    def run(**given: Any) -> None:
        for name, (group, names) in groups.items():
            given[name] = group(**{field: given.pop(field) for field in names})
        command(**given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run

"""Which model a command takes: the one of its command line, or one that the environment or a file prefers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from sewcli.models_toml import ModelSpec


class PreferredModel(str):
    """A model that SEW_MODEL or a file names: it counts where its task fits the command."""

    __slots__ = ()


def given_or_preferred(
    context: typer.Context, parameter: typer.CallbackParam, value: str | None
) -> str | None:
    """Callback of -m: a PreferredModel unless it was given on the command line."""
    source = context.get_parameter_source(parameter.name or "")
    return value if value is None or (source and source.name == "COMMANDLINE") else PreferredModel(value)


def likely_model(name: str | None, task: str, revision: str | None = None) -> ModelSpec:
    """The model for `task` that a name means, or none; what only its files tell is not looked at."""
    from sewcli.registry import find, load_registry

    registry = load_registry()
    if name is not None:
        spec = find(name, registry, revision)
        if not isinstance(name, PreferredModel) or task == "features" or spec.task in (None, task):
            return spec
    return registry.default_model(task)

"""The words that a shell completes: aliases of models and formats."""

from __future__ import annotations

import typer


def model_names(incomplete: str) -> list[str]:
    """Aliases that begin so, for the shell; directories are the shell's own."""
    from sewcli.errors import SewError
    from sewcli.registry import load_registry

    try:
        return [name for name in load_registry().models if name.startswith(incomplete)]
    except SewError:  # a models.toml of the user that cannot be read; a command will say so
        return []


def format_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Formats that begin so, of the command that is typed."""
    from sewcli.writers import formats_for

    kinds = {"classify": "labels", "align": "alignment", "embed": "features"}
    known = kinds.get(ctx.info_name or "", "transcript")
    return [name for name in formats_for(known) if name.startswith(incomplete)]  # type: ignore[arg-type]

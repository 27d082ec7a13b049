"""`sew completion`: what makes a shell complete commands and options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

#: the variable by which the script asks `sew` for words
VARIABLE = "_SEW_COMPLETE"


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


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="bash|zsh|fish", help="Which.")],
) -> None:
    """Print the completion script of a shell.

    source <(sew completion bash)

    sew completion zsh > ~/.zfunc/_sew

    sew completion fish > ~/.config/fish/completions/sew.fish
    """
    from typer._completion_shared import get_completion_script

    from sewcli.cli.streams import write_stdout

    script = get_completion_script(prog_name="sew", complete_var=VARIABLE, shell=shell)
    write_stdout(f"{script}\n".encode())

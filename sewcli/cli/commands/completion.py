"""`sew completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from sewcli.cli.parser import COMPLETION


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

    script = get_completion_script(prog_name="sew", complete_var=COMPLETION, shell=shell)
    write_stdout(f"{script}\n".encode())

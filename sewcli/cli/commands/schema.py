"""`sew schema`: the JSON Schema of each JSON output. The schemas are files in `sewcli/schemas`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sewcli

_FOLDER = Path(sewcli.__file__).resolve().parent / "schemas"


def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Which output; without one, their names.")
    ] = None,
) -> None:
    """Print the JSON Schema (draft 2020-12) of an output, or the names of the outputs that have one.

    sew schema transcribe > transcribe.schema.json
    """
    from sewcli.cli.streams import write_stdout
    from sewcli.errors import UsageError

    files = {file.stem: file for file in sorted(_FOLDER.glob("*.json"))}
    if name is None:
        write_stdout("".join(f"{known}\n" for known in files).encode())
        return
    if name not in files:
        raise UsageError(f"no schema {name!r}", hint=f"one of {', '.join(files)}")
    write_stdout(files[name].read_bytes())

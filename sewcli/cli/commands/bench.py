"""`sew bench`: speed on this machine, as ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sewcli.cli.options import shared
from sewcli.errors import UsageError

if TYPE_CHECKING:
    from sewcli.bench.table import Table

#: what is measured when nothing is named: a few minutes
_DEFAULT = ("network", "start")
_NETWORKS = ("network", "threads", "chunks", "paper")
_WHOLE = ("long-file", "many-files", "start", "audio", "memory")
_NAMES = (*_NETWORKS, *_WHOLE)


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help=f"What to measure: {', '.join(_NAMES)}, or all. Without a name: {' and '.join(_DEFAULT)}.",
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            metavar="SIZE|ALIAS|DIR",
            help="A published size with random weights (sew-tiny, sew-d-mid ...) or a model; may be repeated "
            "for the network. Without it: sew-tiny and sew-d-tiny, for whole runs sew-tiny.",
        ),
    ] = None,
    dtypes: Annotated[
        list[str] | None,
        typer.Option(
            "--dtype",
            help="Of the engine; may be repeated; whole runs have float32 beside it.  [default: float32]",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, help="Audio for the network.")] = 30.0,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Rounds; the median counts.")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the audio in whole runs.")] = False,
    form: Annotated[
        Literal["text", "json"], typer.Option("-f", "--format", help="Markdown tables, or JSON Lines.")
    ] = "text",
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    compiled: shared.Compile = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,  # noqa: ARG001 - read where errors are told
) -> None:
    """Measure sew against transformers on this machine, with the same weights, taking turns.

    Prints one table a measurement, of ratios: the same run on another machine gives other seconds and
    similar ratios. It wants an idle machine.
    """
    from sewcli.cli.messages import set_up_messages

    set_up_messages(quiet=quiet)
    chosen = list(dict.fromkeys(_NAMES if names == ["all"] else names or _DEFAULT))
    unknown = [name for name in chosen if name not in _NAMES]
    if unknown:
        raise UsageError(
            f"nothing called {', '.join(map(repr, unknown))} to measure", hint=f"one of {', '.join(_NAMES)}"
        )

    # from here on torch is needed
    from sewcli.bench.measurements import Asked, tables

    asked = Asked(models or [], dtypes or ["float32"], seconds, repeats, quick, device, threads, compiled)
    for table in tables(chosen, asked):
        _show(table, form)


def _show(table: Table, form: str) -> None:
    from dataclasses import asdict

    from sewcli.cli.streams import write_stdout
    from sewcli.writers.jsonl import SCHEMA_VERSION, dump

    if form == "json":
        write_stdout(dump({"schema_version": SCHEMA_VERSION, **asdict(table)}))
    else:
        write_stdout((table.markdown() + "\n").encode())

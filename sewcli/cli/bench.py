"""`sew bench`: speed on this machine, as ratios."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sewcli.cli import options as shared
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
        list[str] | None, typer.Option("--dtype", help="Of the engine; may be repeated.  [default: float32]")
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
    from sewcli.cli.run import set_up_messages

    set_up_messages(quiet=quiet)
    chosen = list(dict.fromkeys(_NAMES if names == ["all"] else names or _DEFAULT))
    unknown = [name for name in chosen if name not in _NAMES]
    if unknown:
        raise UsageError(
            f"nothing called {', '.join(map(repr, unknown))} to measure", hint=f"one of {', '.join(_NAMES)}"
        )
    for table in _tables(
        chosen, models or [], dtypes or ["float32"], seconds, repeats, quick, device, threads, compiled
    ):
        _show(table, form)


def _tables(
    names: list[str],
    models: list[str],
    dtypes: list[str],
    seconds: float,
    repeats: int,
    quick: bool,
    device: str,
    threads: int | None,
    compiled: bool,
) -> Iterator[Table]:
    import torch
    import transformers

    from sewcli.acoustic.load import find_device
    from sewcli.bench import networks, whole
    from sewcli.bench.material import machine
    from sewcli.bench.table import Table

    transformers.utils.logging.disable_progress_bar()
    if threads is not None:
        torch.set_num_threads(threads)
    place = str(find_device(device))
    network = networks.NetworkOptions(
        models or ["sew-tiny", "sew-d-tiny"], dtypes, seconds, repeats, place, compiled
    )
    run = whole.WholeOptions((models or ["sew-tiny"])[0], repeats, torch.get_num_threads(), quick, place)
    yield Table("machine", "What the figures hold for.", ("", ""), tuple(machine().items()))
    measurements: dict[str, Callable[[], Iterator[Table]]] = {
        "network": lambda: networks.network(network),
        "threads": lambda: networks.threads(network),
        "chunks": lambda: networks.chunks(network),
        "paper": lambda: networks.paper(network),
        "long-file": lambda: whole.long_file(run),
        "many-files": lambda: whole.many_files(run),
        "start": lambda: whole.start(run),
        "audio": lambda: whole.audio(run),
        "memory": lambda: whole.memory(run),
    }
    for name in names:
        yield from measurements[name]()


def _show(table: Table, form: str) -> None:
    from dataclasses import asdict

    from sewcli.cli.streams import write_stdout
    from sewcli.writers.jsonl import SCHEMA_VERSION, dump

    if form == "json":
        write_stdout(dump({"schema_version": SCHEMA_VERSION, **asdict(table)}))
    else:
        write_stdout((table.markdown() + "\n").encode())

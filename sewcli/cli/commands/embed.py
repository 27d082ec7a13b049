"""`sew embed`: the hidden states of an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sewcli.cli.options import files, groups
from sewcli.cli.options import shared as opt
from sewcli.cli.options.grouping import grouped
from sewcli.cli.streams import on_terminal
from sewcli.errors import UsageError

if TYPE_CHECKING:
    from sewcli.writers import Format


@grouped
def embed(
    *,
    reading: groups.Reading,
    layer: Annotated[
        int | None,
        typer.Option(
            "--layer",
            envvar="SEW_LAYER",
            min=0,
            help="Hidden states of a layer, 0 for what the first one reads; by default last_hidden_state.",
            rich_help_panel="Output",
        ),
    ] = None,
    pool: Annotated[
        Literal["none", "mean"],
        typer.Option("--pool", envvar="SEW_POOL", help="mean: one state an input.", rich_help_panel="Output"),
    ] = "none",
    attentions: Annotated[
        bool,
        typer.Option(
            "--attentions",
            envvar="SEW_ATTENTIONS",
            help="Write what the states attend to as well, of every layer and head (npz, safetensors).",
            rich_help_panel="Output",
        ),
    ] = False,
    formats: files.StateFormats = None,
    writing: groups.Writing,
    stack: Annotated[
        Path | None,
        typer.Option(
            "--stack",
            envvar="SEW_STACK",
            metavar="FILE",
            help="Write the pooled states of all inputs to one .npy, .npz or .safetensors, a row an input.",
            rich_help_panel="Output",
        ),
    ] = None,
    machine: groups.Network,
    chunks: groups.Chunks,
    engine: opt.Engine = "auto",
    audio_engine: opt.AudioEngine = "soundfile",
    telling: groups.Telling,
) -> None:
    """Write hidden states, of every frame or their mean, from any model: with a head or without.

    sew embed talk.wav > talk.npy

    sew embed clips/ -o states/ -f safetensors --layer 4

    sew embed clips/ --pool mean --stack clips.npz

    sew embed talk.wav --attentions -f npz > talk.npz
    """
    from sewcli.cli.output.directory import Directory
    from sewcli.cli.output.sinks import StandardOutput
    from sewcli.cli.output.stack import StackFile
    from sewcli.cli.writing import write_all

    messages = telling.set_up()
    wanted = reading.wanted(offline=machine.offline)
    written = writing.options(formats, kind="features")
    # only transformers holds attentions
    chosen = machine.chosen("reference" if attentions and engine == "auto" else engine)
    wanted.check()
    written.check(wanted)
    if stack is not None:
        _check_stack(pool, formats, writing.output)
    if attentions:
        if engine == "fast":
            raise UsageError("--attentions come from transformers", hint="--engine reference")
        _check_attentions(stack, written.chosen)
    plan = chunks.plan(chosen.defaults("features"))
    if writing.dry_run and not writing.resume:
        raise typer.Exit(written.dry_run(wanted))
    chosen.check("features")
    if stack is None and writing.output is None and written.chosen[0].name != "json" and on_terminal():
        raise UsageError("hidden states are not for a terminal", hint="add -o DIR, or > FILE")
    sink: StandardOutput | Directory | StackFile | None
    if writing.dry_run:
        sink = None
    elif stack is not None:
        sink = StackFile(stack, wanted.sources(), wanted.copies, overwrite=writing.overwrite)
    else:
        sink = written.open(wanted)
    local = chosen.fetch("features", progress=messages.bars)

    # from here on torch is needed
    from sewcli.pipeline.run import Options
    from sewcli.tasks.embedding import Encoding
    from sewcli.tasks.shared import batch_seconds

    network = chosen.load(local, "features")
    padded = batch_seconds(machine.batch_seconds, network)
    options = Options(plan, padded, chunks.whole_file, audio_engine, read_workers=machine.read_workers)
    task = Encoding(local, network, options, layer=layer, pool=pool, attentions=attentions)
    fingerprint = written.fingerprint(local, task.settings | task.choice)
    if sink is None:
        raise typer.Exit(written.dry_run(wanted, fingerprint))
    display = messages.display_of(sink)
    results = task.results(display.reading(sink.pending(fingerprint)))
    raise typer.Exit(write_all(results, sink, display, writing.failures))


def _check_stack(pool: str, formats: list[str] | None, output: Path | None) -> None:
    """Refuse options that do not go with --stack (UsageError)."""
    if pool == "none":
        raise UsageError("--stack needs states of one length", hint="add --pool mean, or use -o DIR")
    if output is not None:
        raise UsageError("--stack and -o exclude each other", hint="leave one out")
    if formats:
        raise UsageError("the extension of --stack is its format", hint="leave out -f")


def _check_attentions(stack: Path | None, formats: list[Format]) -> None:
    """Refuse files that hold one array (UsageError)."""
    if stack is not None:
        raise UsageError("--attentions and --stack exclude each other", hint="add -o DIR, without --stack")
    if any(form.name == "npy" for form in formats):
        raise UsageError(
            "--attentions: a .npy holds one array, the states", hint="add -f npz or -f safetensors"
        )

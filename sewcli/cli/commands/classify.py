"""`sew classify`: the label of a clip, keywords first of all."""

from __future__ import annotations

from typing import Annotated

import typer

from sewcli.cli.options import files, groups, plotting
from sewcli.cli.options import shared as opt
from sewcli.cli.options import spotting as spot
from sewcli.cli.options.grouping import grouped
from sewcli.errors import UsageError


@grouped
def classify(
    *,
    context: typer.Context,
    reading: groups.Reading,
    formats: files.LabelFormats = None,
    writing: groups.Writing,
    paths: groups.Paths,
    plot: plotting.Plot = None,
    top: Annotated[
        int,
        typer.Option(
            envvar="SEW_TOP", min=1, help="How many labels to print, best first.", rich_help_panel="Output"
        ),
    ] = 1,
    windows: groups.Spotting,
    machine: groups.Network,
    engine: opt.Engine = "auto",
    audio_engine: opt.AudioEngine = "soundfile",
    telling: groups.Telling,
) -> None:
    """Classify short clips: the best labels of each with their probabilities. With --window, spot keywords in
    recordings of any length: an event for each, with its times, as soon as it is over.

    sew classify clip.wav

    sew classify clips/ --top 3 -f json

    sew classify talk.wav --window 1.0 -f json

    arecord -q -f S16_LE -r 16000 | sew classify --window 1.0 -
    """
    from sewcli.cli.writing import write_all

    messages = telling.set_up()
    wanted = reading.wanted(offline=machine.offline)
    written = writing.options(formats, paths, kind="labels")
    chosen = machine.chosen(engine)
    spotting = windows.given(context)
    if spotting is not None and spot.on_command_line(context, "top"):
        raise UsageError("--top is for clips; with --window every label that is heard is an event")
    wanted.check()
    written.check(wanted)
    if writing.dry_run and not writing.resume:
        raise typer.Exit(written.dry_run(wanted))
    chosen.check("classification")
    wanted, pictures = plotting.opened(plot, wanted, replaced=written.replaces)
    beside = [] if pictures is None else [pictures]
    sink = None if writing.dry_run else written.open(wanted, beside)
    local = chosen.fetch("classification", progress=messages.bars)

    # from here on torch is needed
    from sewcli.pipeline.run import Options
    from sewcli.tasks.classifying import Classifying
    from sewcli.tasks.shared import batch_seconds
    from sewcli.tasks.spotting import Spotting

    network = chosen.load(local, "classification")
    padded = batch_seconds(machine.batch_seconds, network)
    picture = None if pictures is None else pictures.write
    task: Classifying | Spotting
    if spotting is None:
        options = Options.for_clips(padded, audio_engine, machine.read_workers)
        task = Classifying(local, network, options, top, picture)
    else:
        task = Spotting(local, network, spotting, padded, audio_engine, picture)
    fingerprint = written.fingerprint(local, task.settings)
    if sink is None:
        raise typer.Exit(written.dry_run(wanted, fingerprint, beside))
    display = messages.display_of(sink)
    results = spot.as_written(
        task.results(display.reading(sink.pending(fingerprint))), at_once=writing.output is None
    )
    raise typer.Exit(write_all(results, sink, display, writing.failures))

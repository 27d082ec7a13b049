"""`sew transcribe`: speech to text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sewcli.casing import AS_IS
from sewcli.cli.options import decoding as dec
from sewcli.cli.options import files, groups, plotting
from sewcli.cli.options import shared as opt
from sewcli.cli.options.grouping import grouped
from sewcli.errors import UsageError


@grouped
def transcribe(
    *,
    reading: groups.Reading,
    formats: files.Formats = None,
    writing: groups.Writing,
    save_logits: Annotated[
        Path | None,
        typer.Option(
            envvar="SEW_SAVE_LOGITS",
            metavar="DIR",
            help="Keep the logits of each input in a file of DIR, for `sew decode`; or a pattern, such as "
            "DIR/{parent}/{stem}{part}.logits.safetensors.",
            rich_help_panel="Output",
        ),
    ] = None,
    paths: groups.Paths,
    plot: plotting.Plot = None,
    cues: groups.Cues,
    timestamps: files.Timestamps = None,
    machine: groups.Network,
    engine: opt.Engine = "auto",
    decoders: groups.Decoders,
    n_best: dec.NBest = 1,
    case: dec.LetterCase = AS_IS,
    decode_workers: dec.DecodeWorkers = None,
    chunks: groups.Chunks,
    silence: groups.Silence,
    audio_engine: opt.AudioEngine = "soundfile",
    telling: groups.Telling,
) -> None:
    """Transcribe speech: one line of text, or one JSON object, for each input.

    sew transcribe talk.wav

    sew transcribe recordings/ -f json > transcripts.jsonl
    """
    from sewcli.cli.writing import tell_hotwords, write_all

    messages = telling.set_up()
    wanted = reading.wanted(offline=machine.offline, beside=decoders.read_files)
    written = writing.options(formats, paths, cues=cues)
    chosen = machine.chosen(engine)
    wanted.check()
    written.check(wanted)
    defaults = chosen.defaults("ctc")
    decoding, plan = decoders.checked(defaults, n_best, case), chunks.plan(defaults)
    activity = silence.activity()
    times = written.times(timestamps or (None if plot is None else "word"))
    if writing.dry_run and not writing.resume:
        raise typer.Exit(written.dry_run(wanted))
    chosen.check("ctc")
    wanted, pictures = plotting.opened(plot, wanted, replaced=written.replaces)
    keeper = None
    if save_logits is not None:
        if activity is not None:
            raise UsageError("--vad leaves frames out, and --save-logits keeps all", hint="leave one out")
        from sewcli.cli.output.keeping import logits_directory

        wanted = wanted.at_once()
        keeper = logits_directory(save_logits, wanted.sources(), replace=written.replaces)
    beside = [one for one in (keeper, pictures) if one is not None]
    sink = None if writing.dry_run else written.open(wanted, beside)
    local = chosen.fetch("ctc", progress=messages.bars)

    # from here on torch is needed
    from sewcli.pipeline.run import Options
    from sewcli.tasks.shared import batch_seconds
    from sewcli.tasks.transcribing import Transcribing

    network = chosen.load(local, "ctc")
    padded = batch_seconds(machine.batch_seconds, network)
    options = Options(
        plan,
        padded,
        chunks.whole_file,
        audio_engine,
        activity=activity,
        read_workers=machine.read_workers,
    )
    task = Transcribing(
        local,
        network,
        decoding,
        options,
        times,
        None if keeper is None else keeper.write,
        None if pictures is None else pictures.write,
        decode_workers=0 if writing.dry_run else decode_workers,
    )
    more = {"timestamps": times} | ({"n_best": n_best} if n_best > 1 else {})
    fingerprint = written.fingerprint(local, task.settings | more)
    if sink is None:
        raise typer.Exit(written.dry_run(wanted, fingerprint, beside))
    display = messages.display_of(sink)
    results = task.results(display.reading(sink.pending(fingerprint)))
    raise typer.Exit(write_all(tell_hotwords(results), sink, display, writing.failures))

"""`sew evaluate`: error rates or accuracy on a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sewcli.cli.options import groups
from sewcli.cli.options import shared as opt
from sewcli.cli.options.grouping import grouped
from sewcli.errors import UsageError

if TYPE_CHECKING:
    from sewcli.cli.commands.scoring import Outputs
    from sewcli.inputs.manifest import Task

_COMPARING = "Results without a model"


@grouped
def evaluate(
    *,
    context: typer.Context,
    manifest: Annotated[
        Path | None,
        typer.Argument(
            metavar="MANIFEST",
            help="JSON Lines (audio_filepath, text or label, set), an audiofolder, a saved data set or a "
            "published corpus.",
        ),
    ] = None,
    formats: opt.ScoreFormat = None,
    table: Annotated[
        Path | None,
        typer.Option(
            envvar="SEW_TABLE",
            metavar="FILE",
            help="Write one line an utterance, alignment included, to a .tsv or .jsonl file.",
            rich_help_panel="Output",
        ),
    ] = None,
    confusion: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="SEW_CONFUSION",
            metavar="FILE",
            help="Write the confusion matrix of a classifier to a .csv or .png file (may be repeated).",
            rich_help_panel="Output",
        ),
    ] = None,
    others: Annotated[
        str | None,
        typer.Option(
            envvar="SEW_OTHERS",
            metavar="LABEL",
            help="Rows whose label the model does not have count as this one of its labels, as _unknown_.",
            rich_help_panel="Scoring",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", envvar="SEW_OVERWRITE", help="Replace files that exist.", rich_help_panel="Output"
        ),
    ] = False,
    scored: groups.Scoring,
    results: Annotated[
        Path | None,
        typer.Option(
            envvar="SEW_RESULTS",
            metavar="FILE",
            help="Score what `transcribe -f json`, `classify -f json` or --table wrote; - for stdin.",
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            envvar="SEW_COMPARE",
            metavar="A B",
            help="Compare two such files by a paired bootstrap over utterances.",
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    resamples: Annotated[
        int,
        typer.Option(
            envvar="SEW_RESAMPLES", min=100, help="Draws of the bootstrap.", rich_help_panel=_COMPARING
        ),
    ] = 10_000,
    seed: Annotated[
        int,
        typer.Option(envvar="SEW_SEED", min=0, help="Of the bootstrap.", rich_help_panel=_COMPARING),
    ] = 0,
    windows: groups.Spotting,
    machine: groups.Network,
    engine: opt.Engine = "auto",
    decoders: groups.Decoders,
    chunks: groups.Chunks,
    silence: groups.Silence,
    audio_engine: opt.AudioEngine = "soundfile",
    telling: groups.Telling,
) -> None:
    """Score a model on a manifest: error rates and CTC loss, or accuracy, and speed.

    Rows with `text` are transcribed, rows with `label` classified (rows with both: as the model of -m can);
    with --window keywords are spotted in the recordings of rows with `events` (label, start, end), and misses
    and false alarms an hour counted.

    loss: mean over utterances of the CTC loss that transformers gives each; none where silence is left out.

    rtf: seconds in the network over seconds of audio.

    sew evaluate test.jsonl -m sew-tiny --table sew-tiny.jsonl

    sew evaluate test.jsonl --results transcripts.jsonl --normalizer whisper-en

    sew evaluate --compare sew-tiny.jsonl sew-d-tiny.jsonl
    """
    from sewcli.cli.commands import detect, scoring
    from sewcli.cli.input_options import unpacked
    from sewcli.evaluation.normalizers import normalizer as find_normalizer
    from sewcli.evaluation.references import read_references, read_results

    messages = telling.set_up()
    outputs = scoring.Outputs(scoring.score_format(formats), table, confusion or [], overwrite)
    outputs.check([manifest, results, *(compare or ())])
    if compare is not None and (results or table or confusion):
        raise UsageError("--compare goes with none of --results, --table and --confusion")
    chosen = machine.chosen(engine)
    spotting = windows.given(context)
    if spotting is not None:
        _refuse_vad(context, "keywords in recordings")
        raise typer.Exit(
            detect.evaluate_spotting(
                manifest,
                chosen,
                detect.Windowed(spotting, machine.batch_seconds, audio_engine),
                outputs,
                alone=not (results or compare or table or confusion),
                messages=messages,
                skip_bad=scored.skip_bad,
            )
        )
    without_model = results is not None or compare is not None
    references = None
    if manifest is not None:
        with _taken_for_manifest(manifest, compare):
            references = read_references(
                manifest,
                unpacked(context, manifest),
                skip_bad=scored.skip_bad,
                files=not without_model,
                wanted=None if without_model else chosen.own_task(),
            )
    normalize = find_normalizer(scored.normalizer)
    record: dict[str, Any] = {"normalizer": scored.normalizer}
    if references is not None:
        record["skipped"] = references.skipped

    if compare is not None:
        from sewcli.evaluation.compared import compare_results, lines

        compared = compare_results(
            compare,
            references.rows if references else None,
            scored.normalizer,
            metric=scored.metric,
            resamples=resamples,
            seed=seed,
        )
        outputs.show(compared, lines)
        return
    if results is not None:
        task, items = read_results(results, references)
        outputs.check_task(task)
        raise typer.Exit(scoring.score(items, task, normalize, outputs, record, timed=False))

    if references is None:
        raise UsageError(
            "no manifest given", hint="sew evaluate MANIFEST, or --results FILE, or --compare A B"
        )
    task = references.task
    _check_task(context, task, outputs)
    defaults = chosen.defaults(task)
    decoding, plan, activity = decoders.checked(defaults), chunks.plan(defaults), silence.activity()
    local = chosen.fetch(task, progress=messages.bars)

    # from here on torch is needed
    from sewcli.evaluation.answering import answers
    from sewcli.pipeline.run import Options
    from sewcli.tasks.shared import batch_seconds

    network = chosen.load(local, task)
    padded = batch_seconds(machine.batch_seconds, network)
    clips = Options.for_clips(padded, audio_engine, machine.read_workers)
    recordings = Options(
        plan, padded, chunks.whole_file, audio_engine, activity=activity, read_workers=machine.read_workers
    )
    options = clips if task == "classification" else recordings
    items, settings = answers(
        references,
        local,
        network,
        decoding,
        options,
        scored.normalizer,
        messages.display(len(references.rows)),
        others,
    )
    record |= {"model": {"id": local.spec.name, "revision": local.revision}, "settings": settings}
    raise typer.Exit(scoring.score(items, task, normalize, outputs, record, timed=True))


@contextmanager
def _taken_for_manifest(manifest: Path, compare: tuple[Path, Path] | None) -> Iterator[None]:
    """Say, where it is none, what a third file beside those of --compare is taken for (UsageError)."""
    try:
        yield
    except UsageError as error:
        if compare is None:
            raise
        hint = f"--compare takes two files; {manifest} is taken for the manifest of their references"
        raise UsageError(error.message, hint=hint) from error


def _check_task(context: typer.Context, task: Task, outputs: Outputs) -> None:
    """Refuse what a task cannot be scored with, or without (UsageError)."""
    from sewcli.evaluation.rates import require_jiwer

    outputs.check_task(task)
    if task == "ctc":
        require_jiwer()
    else:
        _refuse_vad(context, "clips")


def _refuse_vad(context: typer.Context, what: str) -> None:
    """Refuse --vad where nothing is transcribed (UsageError); a setting for all commands is passed over."""
    from sewcli.cli.options.spotting import on_command_line

    if on_command_line(context, "vad"):
        raise UsageError(f"--vad leaves silence out of transcripts, not of {what}", hint="leave it out")

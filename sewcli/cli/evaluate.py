"""`sew evaluate`: error rates or accuracy on a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sewcli.chunking import DEFAULT_CHUNK, DEFAULT_STRIDE
from sewcli.cli import decoding_options as dec
from sewcli.cli import options as opt
from sewcli.cli import spotting_options as spot
from sewcli.decoding.options import (
    DEFAULT_ALPHA,
    DEFAULT_BEAM_PRUNE_LOGP,
    DEFAULT_BEAM_WIDTH,
    DEFAULT_BETA,
    DEFAULT_HOTWORD_WEIGHT,
    DEFAULT_TOKEN_MIN_LOGP,
    DEFAULT_UNKNOWN,
)
from sewcli.errors import UsageError
from sewcli.spotting.options import DEFAULTS

_SCORING = "Scoring"
_COMPARING = "Results without a model"


def evaluate(
    context: typer.Context,
    manifest: Annotated[
        Path | None,
        typer.Argument(metavar="MANIFEST", help="JSON Lines: audio_filepath, text or label, set."),
    ] = None,
    form: Annotated[
        Literal["text", "json"],
        typer.Option(
            "-f", "--format", envvar="SEW_FORMAT", help="A table or one object.", rich_help_panel="Output"
        ),
    ] = "text",
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
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", envvar="SEW_OVERWRITE", help="Replace files that exist.", rich_help_panel="Output"
        ),
    ] = False,
    normalizer: Annotated[
        Literal["none", "basic", "whisper-en"],
        typer.Option(
            envvar="SEW_NORMALIZER",
            help="What is done to both texts before they are compared; letter case is ignored always.",
            rich_help_panel=_SCORING,
        ),
    ] = "none",
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            envvar="SEW_SKIP_BAD",
            help="Go on without the bad rows of the manifest, and those whose file is missing.",
            rich_help_panel=_SCORING,
        ),
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(
            envvar="SEW_RESULTS",
            metavar="FILE",
            help="Score what `transcribe -f json`, `classify -f json` or --table wrote.",
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
    window: spot.Window = None,
    hop: spot.Hop = DEFAULTS.hop,
    smooth: spot.Smooth = DEFAULTS.smooth,
    threshold: spot.Threshold = DEFAULTS.threshold,
    merge_gap: spot.MergeGap = DEFAULTS.merge_gap,
    gate: spot.Gate = DEFAULTS.gate,
    labels: spot.Labels = None,
    model: opt.Model = None,
    revision: opt.Revision = None,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    threads: opt.Threads = None,
    batch_seconds: opt.BatchSeconds = None,
    engine: opt.Engine = "auto",
    offline: opt.Offline = False,
    decoder: dec.Decoder = None,
    beam_width: dec.BeamWidth = DEFAULT_BEAM_WIDTH,
    lm: dec.Lm = None,
    unigrams: dec.Unigrams = None,
    alpha: dec.Alpha = DEFAULT_ALPHA,
    beta: dec.Beta = DEFAULT_BETA,
    unk_score: dec.UnkScore = DEFAULT_UNKNOWN,
    hotword: dec.Hotword = None,
    hotwords_file: dec.HotwordsFile = None,
    hotword_weight: dec.HotwordWeight = DEFAULT_HOTWORD_WEIGHT,
    token_min_logp: dec.TokenMinLogp = DEFAULT_TOKEN_MIN_LOGP,
    beam_prune_logp: dec.BeamPruneLogp = DEFAULT_BEAM_PRUNE_LOGP,
    chunk: opt.Chunk = DEFAULT_CHUNK,
    stride: opt.Stride = DEFAULT_STRIDE,
    statistics: opt.Statistics = "file",
    audio_engine: opt.AudioEngine = "soundfile",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    progress: opt.ProgressMode = "auto",
    no_progress: opt.NoProgress = False,
    debug: opt.Debug = False,
) -> None:
    """Score a model on a manifest: error rates and CTC loss, or accuracy, and speed.

    Rows with `text` are transcribed, rows with `label` classified; with --window keywords are spotted in the
    recordings of rows with `events` (label, start, end), and misses and false alarms an hour counted.

    loss: mean over utterances of the CTC loss that transformers gives each.

    rtf: seconds in the network over seconds of audio.

    sew evaluate test.jsonl -m sew-tiny --table sew-tiny.jsonl

    sew evaluate test.jsonl --results transcripts.jsonl --normalizer whisper-en

    sew evaluate --compare sew-tiny.jsonl sew-d-tiny.jsonl
    """
    from sewcli.cli import detect, run, scoring
    from sewcli.evaluation.normalizers import normalizer as find_normalizer
    from sewcli.evaluation.rates import require_jiwer

    messages = run.Messages(quiet, verbose, debug, no_progress, progress)
    messages.set_up()
    outputs = scoring.Outputs(form, table, confusion or [], overwrite)
    outputs.check()
    if compare is not None and (results or table or confusion):
        raise UsageError("--compare goes with none of --results, --table and --confusion")
    chosen = run.ModelOptions(model, revision, device, dtype, threads, engine, offline)
    spotting = spot.given(context, window, hop, smooth, threshold, merge_gap, gate, labels)
    if spotting is not None:
        raise typer.Exit(
            detect.evaluate_spotting(
                manifest,
                chosen,
                detect.Windowed(spotting, batch_seconds, audio_engine),
                outputs,
                alone=not (results or compare or table or confusion),
                messages=messages,
                skip_bad=skip_bad,
            )
        )
    without_model = results is not None or compare is not None
    references = None
    if manifest is not None:
        references = scoring.read_references(manifest, skip_bad=skip_bad, files=not without_model)
    normalize = find_normalizer(normalizer)
    skipped = {"skipped": references.skipped} if references is not None else {}
    record: dict[str, Any] = {"normalizer": normalizer, **skipped}

    if compare is not None:
        from sewcli.cli.compare import compare_results, lines

        rows = references.rows if references else None
        outputs.show(compare_results(compare, rows, normalizer, resamples=resamples, seed=seed), lines)
        return
    if results is not None:
        task, items = scoring.read_results(results, references)
        outputs.check_task(task)
        raise typer.Exit(scoring.score(items, task, normalize, outputs, record, timed=False))

    if references is None:
        raise UsageError(
            "no manifest given", hint="sew evaluate MANIFEST, or --results FILE, or --compare A B"
        )
    task = references.task
    outputs.check_task(task)
    if task == "ctc":
        require_jiwer()
    decoding = dec.decoding_options(
        hotword,
        hotwords_file,
        decoder=decoder,
        beam_width=beam_width,
        hotword_weight=hotword_weight,
        lm=lm,
        unigrams=unigrams,
        alpha=alpha,
        beta=beta,
        unk_score=unk_score,
        token_min_logp=token_min_logp,
        beam_prune_logp=beam_prune_logp,
    )
    plan = run.chunk_plan(chunk, stride)
    local = chosen.fetch(task, progress=messages.bars)

    # from here on torch is needed
    from sewcli.cli.measure import measure
    from sewcli.pipeline import Options

    network = chosen.load(local, task)
    padded = run.batch_seconds(batch_seconds, network)
    clips = Options.for_clips(padded, audio_engine)
    recordings = Options(plan, padded, statistics == "file", audio_engine)
    options = clips if task == "classification" else recordings
    items, settings = measure(
        references, local, network, decoding, options, normalizer, messages.display(len(references.rows))
    )
    record |= {"model": {"id": local.spec.name, "revision": local.revision}, "settings": settings}
    raise typer.Exit(scoring.score(items, task, normalize, outputs, record, timed=True))

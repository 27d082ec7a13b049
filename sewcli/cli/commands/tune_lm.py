"""`sew tune-lm`: the weights of a language model that give the fewest errors on a manifest."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sewcli.cli.options import decoding as dec
from sewcli.cli.options import groups
from sewcli.cli.options import shared as opt
from sewcli.cli.options.grouping import grouped
from sewcli.decoding.options import (
    DEFAULT_BEAM_PRUNE_LOGP,
    DEFAULT_HOTWORD_WEIGHT,
    DEFAULT_TOKEN_MIN_LOGP,
    DEFAULT_UNKNOWN,
)
from sewcli.errors import UsageError

if TYPE_CHECKING:
    from sewcli.evaluation.rates import Metric
    from sewcli.evaluation.tuning import Trial
    from sewcli.inputs.manifest import Row

_log = logging.getLogger("sewcli")
_SEARCH = "Search"
_EXAMPLES = {"--alphas": "0.5 1", "--betas": "0 1.5", "--beam-widths": "50 100"}


@grouped
def tune_lm(
    *,
    context: typer.Context,
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="Of a development set: audio_filepath, text.")
    ],
    lm: dec.Lm = "builtin",
    unigrams: dec.Unigrams = None,
    alphas: Annotated[
        str, typer.Option(envvar="SEW_ALPHAS", help="Weights to try.", rich_help_panel=_SEARCH)
    ] = "0.25 0.5 0.75 1",
    betas: Annotated[
        str, typer.Option(envvar="SEW_BETAS", help="What a word adds.", rich_help_panel=_SEARCH)
    ] = "0 1 2 3",
    beam_widths: Annotated[
        str, typer.Option(envvar="SEW_BEAM_WIDTHS", help="Prefixes kept.", rich_help_panel=_SEARCH)
    ] = "100",
    limit: Annotated[
        int | None,
        typer.Option(
            envvar="SEW_LIMIT",
            min=1,
            help="Only so many utterances, spread over the manifest.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    scored: groups.Scoring,
    formats: opt.ScoreFormat = None,
    machine: groups.Network,
    engine: opt.Engine = "auto",
    unk_score: dec.UnkScore = DEFAULT_UNKNOWN,
    hotword: dec.Hotword = None,
    hotwords_file: dec.HotwordsFile = None,
    hotword_weight: dec.HotwordWeight = DEFAULT_HOTWORD_WEIGHT,
    token_min_logp: dec.TokenMinLogp = DEFAULT_TOKEN_MIN_LOGP,
    beam_prune_logp: dec.BeamPruneLogp = DEFAULT_BEAM_PRUNE_LOGP,
    decode_workers: dec.DecodeWorkers = None,
    chunks: groups.Chunks,
    audio_engine: opt.AudioEngine = "soundfile",
    telling: groups.Telling,
) -> None:
    """Find alpha, beta and beam width for a model and a language model: all combinations are tried.

    The network runs once; each combination decodes its logits again.

    sew tune-lm dev.jsonl --lm mine.arpa.gz --alphas '0.4 0.6 0.8' --betas '0 1 2'
    """
    from sewcli.cli.commands.scoring import score_format
    from sewcli.cli.console import report_failure
    from sewcli.cli.writing import exit_code
    from sewcli.errors import EXIT_ALL_FAILED
    from sewcli.evaluation.normalizers import normalizer as find_normalizer
    from sewcli.evaluation.rates import require_jiwer
    from sewcli.results import Failure

    messages = telling.set_up()
    form = score_format(formats)
    decoding = dec.decoding_options(
        hotword,
        hotwords_file,
        lm=lm,
        unigrams=unigrams,
        unk_score=unk_score,
        hotword_weight=hotword_weight,
        token_min_logp=token_min_logp,
        beam_prune_logp=beam_prune_logp,
    )
    tried = (
        numbers("--alphas", alphas),
        numbers("--betas", betas),
        [_width(value) for value in numbers("--beam-widths", beam_widths)],
    )
    require_jiwer()
    normalize = find_normalizer(scored.normalizer)
    rows = _rows(context, manifest, limit, skip_bad=scored.skip_bad)
    chosen = machine.chosen(engine)
    plan = chunks.plan(chosen.defaults("ctc"))
    local = chosen.fetch("ctc", progress=messages.bars)

    # from here on torch is needed
    from sewcli.decoding.vocabulary import load_vocabulary
    from sewcli.evaluation.tuning import KeptLogits, attempt, attempts, grid
    from sewcli.pipeline.run import Options
    from sewcli.pipeline.run import run as run_pipeline
    from sewcli.tasks.shared import batch_seconds, chunk_settings

    network = chosen.load(local, "ctc")
    vocabulary = load_vocabulary(local.directory, network.columns)
    options = Options(
        plan,
        batch_seconds(machine.batch_seconds, network),
        chunks.whole_file,
        audio_engine,
        read_workers=machine.read_workers,
    )
    kept = context.with_resource(closing(KeptLogits(network.columns)))
    failed = 0
    with messages.display(len(rows)) as display:
        results = run_pipeline(display.reading(row.source for row in rows), network, kept.recording, options)
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, Failure):
                failed += 1
                display.fail()
                report_failure(replace(result, message=row.told(result.message)))
            else:
                display.count(result.source.path, result.duration)
    if not len(kept):
        raise typer.Exit(EXIT_ALL_FAILED)
    greedy = attempt(kept, vocabulary, dec.decoding_options(None, None), normalize)
    candidates = grid(decoding, *tried)
    _log.info(
        "%d utterances, %.0f s, %d failed; %d combinations", len(kept), kept.seconds, failed, len(candidates)
    )
    found = attempts(kept, vocabulary, candidates, normalize, decode_workers)
    trials = _and_tell(greedy, found, scored.metric)
    if form == "text":
        _show(greedy, trials, scored.metric)
    else:
        record = {
            "utterances": len(kept),
            "failed": failed,
            **_summary(greedy, list(trials), scored.metric),
            "metric": scored.metric,
            "normalizer": scored.normalizer,
            "model": {"id": local.spec.name, "revision": local.revision},
            "settings": ({} if decoding.found_lm is None else decoding.found_lm.settings())
            | chunk_settings(network, options),
        }
        _write(record)
    raise typer.Exit(exit_code(len(kept), failed))


def _rows(context: Any, manifest: Path, limit: int | None, *, skip_bad: bool) -> Sequence[Row]:
    """The rows of a manifest with texts, or so many of them, evenly spread (UsageError)."""
    from sewcli.cli.input_options import unpacked
    from sewcli.evaluation.references import read_references

    place = unpacked(context, manifest)
    references = read_references(manifest, place, skip_bad=skip_bad, files=True, split="dev", wanted="ctc")
    if references.task != "ctc":
        raise UsageError(
            f"{manifest} holds labels", hint="a language model is for transcripts: rows with text"
        )
    rows = references.rows
    if limit is None or limit >= len(rows):
        return rows
    return [rows[index * len(rows) // limit] for index in range(limit)]


def _and_tell(greedy: Trial, trials: Iterable[Trial], metric: Metric) -> Iterator[Trial]:
    """The trials; a message after the last where none is better than greedy decoding, or others might be."""
    from sewcli.evaluation.tuning import best_of, edits

    done = []
    for trial in trials:
        done.append(trial)
        yield trial
    best = best_of(done, metric)
    if edits(best, metric) >= edits(greedy, metric):
        _log.warning("greedy decoding makes no more errors than any of these")
        return
    for name in ("alpha", "beta"):
        tried = sorted({getattr(trial.options, name) for trial in done})
        value = getattr(best.options, name)
        if len(tried) > 2 and value in (tried[0], tried[-1]) and value:
            which = "least" if value == tried[0] else "greatest"
            _log.info(
                "the best %s, %g, is the %s that was tried: --%ss tries others", name, value, which, name
            )


def _show(greedy: Trial, trials: Iterable[Trial], metric: Metric) -> None:
    """A line a combination as it is done, and the best one as options."""
    from sewcli.cli.streams import write_stdout
    from sewcli.evaluation.tuning import best_of

    write_stdout(b"alpha\tbeta\tbeam\tWER %\tCER %\n")
    write_stdout(_line("-\t-\tgreedy", greedy.rates))
    done = []
    for trial in trials:
        one = trial.options
        write_stdout(_line(f"{one.alpha:g}\t{one.beta:g}\t{one.beam_width}", trial.rates))
        done.append(trial)
    best = best_of(done, metric).options
    weights = f"--alpha {best.alpha:g} --beta {best.beta:g} --beam-width {best.beam_width}"
    write_stdout(f"best: {weights}\n".encode())


def _write(record: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    from sewcli.cli.streams import write_stdout
    from sewcli.writers.jsonl import SCHEMA_VERSION, dump

    write_stdout(dump({"schema_version": SCHEMA_VERSION, **record}))


def _summary(greedy: Trial, trials: Sequence[Trial], metric: Metric) -> dict[str, Any]:
    from sewcli.evaluation.tuning import best_of

    return {
        "best": best_of(trials, metric).as_object(),
        "greedy": greedy.as_object(),
        "tried": [trial.as_object() for trial in trials],
    }


def numbers(option: str, given: str) -> list[float]:
    """The numbers of an option, between spaces or commas (UsageError)."""
    try:
        values = [float(value) for value in given.replace(",", " ").split()]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)):
        raise UsageError(
            f"{option} {given!r}: it is a list of numbers", hint=f"as {option} '{_EXAMPLES[option]}'"
        )
    return list(dict.fromkeys(values))


def _width(value: float) -> int:
    if value < 1 or value != int(value):
        raise UsageError(f"--beam-widths {value:g}: a beam has a whole number of prefixes, from 1 up")
    return int(value)


def _line(named: str, rates: dict[str, Any]) -> bytes:
    cells = ("-" if rate is None else f"{100 * rate:.2f}" for rate in rates.values())
    return "\t".join([named, *cells]).encode() + b"\n"

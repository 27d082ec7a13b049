"""`sew evaluate`: error rates or accuracy on a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sewcli.cli import options as opt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sewcli.pipeline import Consumer
    from sewcli.results import Classification, Transcript


def evaluate(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="JSON Lines: audio_filepath, text or label, set.")
    ],
    form: Annotated[
        Literal["text", "json"],
        typer.Option("-f", "--format", envvar="SEW_FORMAT", help="A table or one object."),
    ] = "text",
    model: opt.Model = None,
    revision: opt.Revision = None,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    threads: opt.Threads = None,
    batch_seconds: opt.BatchSeconds = None,
    engine: opt.Engine = "auto",
    offline: opt.Offline = False,
    chunk: opt.Chunk = opt.DEFAULT_CHUNK,
    stride: opt.Stride = opt.DEFAULT_STRIDE,
    statistics: opt.Statistics = "file",
    audio_engine: opt.AudioEngine = "soundfile",
    quiet: opt.Quiet = False,
    no_progress: opt.NoProgress = False,
    debug: opt.Debug = False,  # noqa: ARG001 - read by main, before any command
) -> None:
    """Score a model on a manifest: word and character error rate, or accuracy, in all and by set.

    The rows decide the task: those with `text` are transcribed greedily, those with `label` classified.
    """
    from sewcli.cli import run
    from sewcli.cli.console import Progress
    from sewcli.errors import UsageError
    from sewcli.evaluation import require_jiwer
    from sewcli.manifest import read_manifest

    run.set_up_messages(quiet=quiet)
    rows = read_manifest(manifest)
    task = "classification" if rows[0].label is not None else "ctc"
    wanted = [row.label if task == "classification" else row.text for row in rows]
    if None in wanted:
        raise UsageError(
            f"{manifest}: row {wanted.index(None) + 1} has no {'text' if task == 'ctc' else 'label'}",
            hint="all rows of a manifest must be for the same task",
        )
    if task == "ctc":
        require_jiwer()
    chosen = run.ModelOptions(model, revision, device, dtype, threads, engine, offline)
    shown = not (quiet or no_progress)
    plan = run.chunk_plan(chunk, stride)
    local = chosen.fetch(task, progress=shown)

    # from here on torch is needed
    from sewcli.pipeline import Options
    from sewcli.pipeline import run as run_pipeline

    network = chosen.load(local, task)
    padded = run.batch_seconds(batch_seconds, network)
    if task == "classification":
        options = Options.for_clips(padded, audio_engine)
    else:
        options = Options(plan, padded, statistics == "file", audio_engine)
    results = run_pipeline(
        (row.source for row in rows),
        network,
        _consumers(local.directory, network, run.model_info(local), task),
        options,
    )
    sink = _Collector()
    code = run.finish(results, sink, Progress(shown=shown))
    scored = sink.scored(wanted, [row.set for row in rows])
    if scored:
        _print(task, scored, len(rows) - len(scored), form)
    raise typer.Exit(code)


class _Collector:
    """Sink that keeps the answers."""

    def __init__(self) -> None:
        self._answers: list[str | None] = []

    def write(self, result: Any) -> None:
        from sewcli.results import Classification, Transcript

        match result:
            case Transcript():
                self._answers.append(result.text)
            case Classification():
                self._answers.append(result.labels[0].label)
            case _:
                self._answers.append(None)

    def scored(self, references: list[Any], sets: list[str]) -> list[Any]:
        from sewcli.evaluation import Scored

        together = zip(references, self._answers, sets, strict=False)
        return [Scored(reference, answer, set_) for reference, answer, set_ in together if answer is not None]


def _consumers(
    directory: Path, network: Any, info: Any, task: str
) -> Callable[[], Consumer[Transcript | Classification]]:
    from sewcli.decoding.greedy import GreedyDecoder
    from sewcli.decoding.vocabulary import load_vocabulary
    from sewcli.recognition import Classifier, Transcriber

    if task == "classification":
        return lambda: Classifier(network.labels, info, 1)
    vocabulary = load_vocabulary(directory, network.columns)
    return lambda: Transcriber(GreedyDecoder(vocabulary), info, {})


def _print(task: str, scored: list[Any], failed: int, form: str) -> None:
    from sewcli.cli.output import write_stdout
    from sewcli.evaluation import accuracies, error_rates
    from sewcli.writers.jsonl import dump

    scores = accuracies(scored) if task == "classification" else error_rates(scored)
    scores["failed"] = failed
    if form == "json":
        write_stdout(dump(scores))
        return
    write_stdout("".join(f"{line}\n" for line in _table(scores)).encode())


def _table(scores: dict[str, Any]) -> Iterator[str]:
    """Lines of tab-separated columns, the rates in percent."""
    if scores["failed"]:
        yield f"failed inputs, not counted below: {scores['failed']}"
    rates = [key for key in ("wer", "cer", "accuracy") if key in scores]
    yield "\t".join(["set", "utterances", *rates])
    for name, part in [*scores["sets"].items(), ("all", scores)]:
        yield "\t".join([name, str(part["utterances"]), *(f"{100 * part[rate]:.2f}" for rate in rates)])

"""`sew evaluate --window`: misses and false alarms of keyword spotting over long recordings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sewcli.chunking import SAMPLE_RATE
from sewcli.cli.commands.scoring import Outputs
from sewcli.cli.console import report_failure
from sewcli.cli.messages import Messages
from sewcli.cli.model_options import ModelOptions
from sewcli.cli.writing import exit_code
from sewcli.errors import InputError, UsageError
from sewcli.evaluation.detection import DetectionSum
from sewcli.evaluation.measuring import Stopwatch
from sewcli.evaluation.spotted import events_of, inside, lines, notes, read_recordings, warn_of_unknown
from sewcli.inputs.manifest import plain_label
from sewcli.results import Detections, Failure
from sewcli.spotting.options import SpottingOptions
from sewcli.spotting.spotter import Listening, Spotter
from sewcli.tasks.shared import batch_seconds, model_info, run_settings
from sewcli.writers.jsonl import SCHEMA_VERSION


@dataclass(frozen=True)
class Windowed:
    """How recordings are read: windows and events, seconds of a batch (None suits the device), and engine."""

    spotting: SpottingOptions
    batch_seconds: float | None
    audio_engine: str


def evaluate_spotting(
    manifest: Path | None,
    chosen: ModelOptions,
    how: Windowed,
    outputs: Outputs,
    *,
    alone: bool,
    messages: Messages,
    skip_bad: bool,
) -> int:
    """Spot keywords in the recordings of a manifest, print the figures, and give the exit code.

    Args:
        manifest: whose rows have events.
        chosen: the model.
        how: windows and events.
        outputs: where the figures go.
        alone: no option is given that has no meaning here.
        messages: how progress is shown.
        skip_bad: leave out bad rows.

    Raises:
        UsageError: there is no manifest, it is no good, or there are other options.
    """
    if not alone:
        raise UsageError("--window goes with none of --results, --compare, --table and --confusion")
    if manifest is None:
        raise UsageError("no manifest given", hint="sew evaluate MANIFEST --window 1.0")
    rows, skipped = read_recordings(manifest, skip_bad=skip_bad)
    local = chosen.fetch("classification", progress=messages.bars)
    network = chosen.load(local, "classification")
    options, audio_engine = how.spotting, how.audio_engine
    columns = options.columns(network.labels)
    labels = tuple(map(plain_label, network.labels))
    wanted = {labels[column] for column in columns}
    warn_of_unknown(rows, labels)
    watch = Stopwatch(network, shared=False)
    padded = batch_seconds(how.batch_seconds, network)
    spotter = Spotter(watch, model_info(local), options, padded, audio_engine)
    total, sets = DetectionSum(), dict[str, DetectionSum]()
    failed = 0
    progress = messages.display(len(rows))
    with progress:
        for row, source in zip(rows, progress.reading(row.source for row in rows), strict=True):
            recording = Listening(spotter, source)
            try:
                events = events_of(recording, row.source, columns, options, labels)
            except InputError as error:
                failed += 1
                progress.fail()
                report_failure(Failure(row.source.path, error.code, str(error), row.source.channel))
                continue
            keywords = [span for span in inside(row, recording.duration) if span.label in wanted]
            sums = [total] + ([sets.setdefault(row.set, DetectionSum())] if row.set else [])
            for one in sums:
                one.add(keywords, events, recording.samples / SAMPLE_RATE)
            progress.advance(Detections(row.source.path, recording.duration, (), spotter.info))
    if total.recordings:
        seconds = watch.total
        scores = {
            "schema_version": SCHEMA_VERSION,
            "threshold": options.threshold,
            **total.as_object(options.threshold),
            "network_seconds": round(seconds, 6),
            "rtf": seconds / total.seconds,
            "sets": {name: sets[name].as_object(options.threshold) for name in sorted(sets)},
            "failed": failed,
            "skipped": skipped,
            "model": {"id": local.spec.name, "revision": local.revision},
            "settings": options.as_settings() | run_settings(network, audio_engine),
        }
        outputs.show(scores, lines, notes)
    return exit_code(total.recordings, failed)

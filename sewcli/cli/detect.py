"""`sew evaluate --window`: misses and false alarms of keyword spotting over long recordings."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sewcli.chunking import SAMPLE_RATE
from sewcli.cli.console import report_failure
from sewcli.cli.run import Messages, ModelOptions, batch_seconds, exit_code
from sewcli.cli.scoring import Outputs
from sewcli.errors import InputError, UsageError
from sewcli.evaluation.detection import DetectionSum
from sewcli.evaluation.measuring import Stopwatch
from sewcli.inputs.manifest import LabelSpan, Row, load_manifest
from sewcli.inputs.sources import Source
from sewcli.results import Detections, Failure
from sewcli.spotting.events import EventFinder, Run
from sewcli.spotting.options import SpottingOptions
from sewcli.spotting.spotter import Listening, Spotter
from sewcli.tasks import model_info
from sewcli.writers.jsonl import SCHEMA_VERSION

log = logging.getLogger("sewcli")

#: rows of the table over thresholds, beside the threshold asked for
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def read_recordings(path: Path, *, skip_bad: bool) -> tuple[list[Row], int]:
    """The rows of a manifest with events, and how many bad ones were left out (UsageError as for others)."""
    manifest = load_manifest(path)
    if manifest.rows and all(row.events is None for row in manifest.rows):
        raise UsageError(
            f"{path} has no rows with events, which --window compares with",
            hint='add "events": [{"label": "seven", "start": 1.2, "end": 1.7}, ...] to its rows',
        )
    manifest.check("detection", files=skip_bad)
    return manifest.settle(skip_bad=skip_bad), len(manifest.problems)


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
    wanted = {network.labels[column] for column in columns}
    _warn_of_unknown(rows, network.labels)
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
                events = _events(recording, row.source, columns, options, network.labels)
            except InputError as error:
                failed += 1
                progress.fail()
                report_failure(Failure(row.source.path, error.code, str(error), row.source.channel))
                continue
            keywords = [span for span in _inside(row, recording.duration) if span.label in wanted]
            sums = [total] + ([sets.setdefault(row.set, DetectionSum())] if row.set else [])
            for one in sums:
                one.add(keywords, events, recording.samples / SAMPLE_RATE)
            progress.advance(Detections(row.source.path, recording.duration, (), spotter.info))
    if total.recordings:
        seconds = watch.total
        engines = {"dtype": network.dtype, "engine": network.engine, "audio_engine": audio_engine}
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
            "settings": options.as_settings() | engines,
        }
        outputs.show(scores, lines)
    return exit_code(total.recordings, failed)


def _events(
    recording: Listening,
    source: Source,
    columns: Sequence[int],
    options: SpottingOptions,
    labels: Sequence[str],
) -> dict[float, list[LabelSpan]]:
    """The events of a recording at each threshold, in one pass over it (AudioError where it fails)."""
    levels = sorted({*THRESHOLDS, options.threshold})
    finders = {
        level: EventFinder(columns, level, options.hop_samples, options.gap_samples) for level in levels
    }
    runs: dict[float, list[Run]] = {level: [] for level in levels}
    for scores in recording.smoothed():
        for level, finder in finders.items():
            runs[level] += finder.push(scores)
    for level, finder in finders.items():
        runs[level] += finder.finish(recording.samples)
    return {
        level: [
            LabelSpan(
                labels[run.label],
                source.offset + run.start / SAMPLE_RATE,
                source.offset + run.end / SAMPLE_RATE,
            )
            for run in found
        ]
        for level, found in runs.items()
    }


def _inside(row: Row, duration: float) -> Iterator[LabelSpan]:
    """The keywords of the part of the file that was read."""
    start = row.source.offset
    for span in row.events or ():
        if span.end > start and span.start < start + duration:
            yield span


def _warn_of_unknown(rows: Sequence[Row], labels: Sequence[str]) -> None:
    """Tell of keywords the model cannot spot: they are not counted."""
    counts = Counter(span.label for row in rows for span in row.events or () if span.label not in labels)
    for label, count in sorted(counts.items()):
        log.warning("%d keywords %r, which the model does not know, are not counted", count, label)


def lines(scores: dict[str, Any]) -> Iterator[str]:
    """The figures for people: tab-separated columns, misses in per cent."""
    if scores["failed"]:
        yield f"failed inputs, not counted below: {scores['failed']}"
    if scores["skipped"]:
        yield f"bad rows of the manifest, not counted below: {scores['skipped']}"
    yield (
        f"{scores['recordings']} recordings, {scores['audio_seconds']:.1f} s, "
        f"network {scores['network_seconds']:.1f} s, rtf {scores['rtf']:.4f}"
    )
    columns = "keywords\tmisses\tmiss %\tfalse alarms\tfalse alarms/h"
    yield f"label\t{columns}"
    for name, part in [*scores["labels"].items(), ("all", scores)]:
        yield f"{name}\t{_row(part)}"
    for name, part in scores["sets"].items():
        yield f"set {name}\t{_row(part)}"
    yield f"threshold\t{columns}"
    for part in scores["thresholds"]:
        yield f"{part['threshold']:g}\t{_row(part)}"


def _row(part: dict[str, Any]) -> str:
    rate = "-" if part["miss_rate"] is None else f"{100 * part['miss_rate']:.2f}"
    hourly = part["false_alarms_per_hour"]
    return f"{part['keywords']}\t{part['misses']}\t{rate}\t{part['false_alarms']}\t{hourly:.2f}"

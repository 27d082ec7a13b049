"""Keyword spotting over long recordings, held against what is said in them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import UsageError
from sewcli.inputs.manifest import LabelSpan, Row, load_manifest
from sewcli.inputs.source import Source
from sewcli.spotting.events import EventFinder, Run
from sewcli.spotting.options import SpottingOptions
from sewcli.spotting.spotter import Listening

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


def events_of(
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


def inside(row: Row, duration: float) -> Iterator[LabelSpan]:
    """The keywords of the part of the file that was read; those past the end of a file are missed there."""
    start = row.source.offset
    is_part = row.source.part[0] is not None
    for span in row.events or ():
        if not is_part or (span.end > start and span.start < start + duration):
            yield span


def warn_of_unknown(rows: Sequence[Row], labels: Sequence[str]) -> None:
    """Tell of keywords the model cannot spot: they are not counted."""
    counts = Counter(span.label for row in rows for span in row.events or () if span.label not in labels)
    for label, count in sorted(counts.items()):
        log.warning("%d keywords %r, which the model does not know, are not counted", count, label)


def lines(scores: dict[str, Any]) -> Iterator[str]:
    """The figures for people: tab-separated columns, misses in per cent."""
    columns = "keywords\tmisses\tmiss %\tfalse alarms\tfalse alarms/h"
    yield f"label\t{columns}"
    for name, part in [*scores["labels"].items(), ("all", scores)]:
        yield f"{name}\t{_row(part)}"
    for name, part in scores["sets"].items():
        yield f"set {name}\t{_row(part)}"
    yield f"threshold\t{columns}"
    for part in scores["thresholds"]:
        yield f"{part['threshold']:g}\t{_row(part)}"


def notes(scores: dict[str, Any]) -> Iterator[str]:
    """What is to be told of them: what they do not count, how much was heard, and the time it took."""
    if scores["failed"]:
        yield f"failed inputs, not counted: {scores['failed']}"
    if scores["skipped"]:
        yield f"bad rows of the manifest, not counted: {scores['skipped']}"
    count = scores["recordings"]
    yield (
        f"{count} recording{'s' if count != 1 else ''}, {scores['audio_seconds']:.1f} s, "
        f"network {scores['network_seconds']:.1f} s, rtf {scores['rtf']:.4f}"
    )


def _row(part: dict[str, Any]) -> str:
    rate = "-" if part["miss_rate"] is None else f"{100 * part['miss_rate']:.2f}"
    hourly = part["false_alarms_per_hour"]
    return f"{part['keywords']}\t{part['misses']}\t{rate}\t{part['false_alarms']}\t{hourly:.2f}"

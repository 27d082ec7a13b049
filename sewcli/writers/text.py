"""Plain text: the transcript, or label and score, with the path and the channel in front where asked."""

from __future__ import annotations

import os

from sewcli.results import Classification, Detections, KeywordEvent, Transcript
from sewcli.writers.layout import Layout, Result, channel_column


def write(result: Result, layout: Layout) -> bytes:
    """One line (classify: one a label, or an event), UTF-8, the bytes of the path as they are on disk.

    A failure has no line: standard error tells it.
    """
    prefix = os.fsencode(result.path) + b"\t" if layout.with_path else b""
    if layout.with_channel:
        prefix += channel_column(result)
    match result:
        case Transcript():
            lines = [result.text]
        case Classification():
            lines = [f"{label.label}\t{label.score:.4f}" for label in result.labels]
        case KeywordEvent():
            lines = [_event(result)]
        case Detections():
            lines = [_event(event) for event in result.events]
        case _:
            lines = []
    return b"".join(prefix + line.encode() + b"\n" for line in lines)


def _event(event: KeywordEvent) -> str:
    return f"{event.label}\t{event.start:.3f}\t{event.end:.3f}\t{event.score:.4f}"

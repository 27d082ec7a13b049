"""The times of a model corrected by what is known of it: constants that its entry in models.toml gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sewcli.chunking import FRAME_SECONDS
from sewcli.results import ModelInfo, Span


def corrected(spans: Sequence[Span], model: ModelInfo, begin: float, end: float) -> tuple[Span, ...]:
    """Spans with `start_offset` and `end_offset` of the model added to their starts and ends.

    They stay in order and apart: none begins before `begin` or ends after `end`, none ends after the next one
    begins, and none becomes shorter than a frame where there is room for one.

    Args:
        spans: words or characters, in order and apart, in seconds.
        model: that made them.
        begin, end: of the audio, in seconds.
    """
    if not spans or not (model.start_offset or model.end_offset):
        return tuple(spans)
    starts, least = [], begin
    for left, span in zip(range(len(spans), 0, -1), spans, strict=True):
        # room for a frame of each span before it, and of each that is left
        most = max(least, end - left * FRAME_SECONDS)
        starts.append(min(max(span.start + model.start_offset, least), most))
        least = starts[-1] + FRAME_SECONDS
    made = []
    for span, start, following in zip(spans, starts, [*starts[1:], end], strict=True):
        stop = min(max(span.end + model.end_offset, start + FRAME_SECONDS), following)
        made.append(replace(span, start=round(start, 3), end=round(stop, 3)))
    return tuple(made)

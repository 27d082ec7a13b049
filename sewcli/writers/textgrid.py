"""Praat TextGrid, the long text form: a tier of words, and one of characters where they have times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sewcli.results import Span, Transcript
from sewcli.writers.layout import Layout, Result, end_of, words_of


def write(result: Result, layout: Layout) -> bytes:  # noqa: ARG001 - nothing is open
    """Intervals from 0 to the end of the audio, empty ones where nothing is said."""
    if not isinstance(result, Transcript):
        return b""
    tiers = {"words": words_of(result)}
    if result.chars is not None:
        tiers["chars"] = result.chars
    end = f"{end_of(result):.3f}"
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, spans) in enumerate(tiers.items(), start=1):
        intervals = list(_intervals(spans, end))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {end}", f"        intervals: size = {len(intervals)}"]
        for index, (xmin, xmax, text) in enumerate(intervals, start=1):
            quoted = text.replace('"', '""')
            lines += [
                f"        intervals [{index}]:",
                f"            xmin = {xmin}",
                f"            xmax = {xmax}",
            ]
            lines.append(f'            text = "{quoted}"')
    return ("\n".join(lines) + "\n").encode()


def _intervals(spans: Sequence[Span], end: str) -> Iterator[tuple[str, str, str]]:
    """Start, end and text, without a gap from 0 to the end."""
    reached = "0"
    for span in spans:
        start = f"{span.start:.3f}" if span.start else "0"
        if start != reached:
            yield reached, start, ""
        reached = f"{span.end:.3f}"
        yield start, reached, span.text
    if reached != end:
        yield reached, end, ""

"""What a format leaves open, and what all writers take."""

from __future__ import annotations

from dataclasses import dataclass, field

from sewcli.results import (
    Classification,
    Detections,
    Embedding,
    Failure,
    KeywordEvent,
    Span,
    Transcript,
)
from sewcli.writers.cues import Cue, Shape, cues

Result = Transcript | Classification | KeywordEvent | Detections | Embedding | Failure


@dataclass(frozen=True)
class Layout:
    """How to write a result where its format has a choice.

    Attributes:
        with_path: name the input too, where that is optional.
        with_channel: name the channel too, in text and tsv.
        shape: of cues.
    """

    with_path: bool = False
    with_channel: bool = False
    shape: Shape = field(default_factory=Shape)


def cues_of(result: Result, layout: Layout) -> list[Cue]:
    """The cues of a transcript; a failure has none."""
    return cues(words_of(result), layout.shape)


def channel_column(result: Result) -> bytes:
    """The number of the channel and a tab; no number where all were mixed, or for a failure."""
    return b"\t" if result.channel is None else b"%d\t" % result.channel


def words_of(result: Result) -> tuple[Span, ...]:
    """The words of a transcript with their times; a failure has none."""
    if not isinstance(result, Transcript):
        return ()
    if result.words is None:  # the command asks for times before it runs
        raise ValueError("this format needs the times of words")
    return result.words


def start_of(result: Transcript) -> float:
    """Where a transcript begins in its file, in seconds."""
    return result.offset or 0.0


def end_of(result: Transcript) -> float:
    """Where a transcript ends in its file, in seconds."""
    return start_of(result) + result.duration


def clock(seconds: float, mark: str) -> str:
    """A time as subtitles have it, hh:mm:ss and, after the mark, milliseconds."""
    minutes, rest = divmod(milliseconds(seconds), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"


def milliseconds(seconds: float) -> int:
    """A time in whole milliseconds."""
    return round(seconds * 1000)

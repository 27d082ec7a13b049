"""From words to subtitle cues: pure arithmetic on times and lengths.

A cue takes words as long as its lines hold them, no pause is too long and it stays short enough to read.
Nothing is lost and nothing is said twice: the words of all cues, in order, are the words given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sewcli.results import Span

#: seconds a cue stays on the screen where nothing follows; shorter ones cannot be read
SHOWN_AT_LEAST = 1.0


@dataclass(frozen=True)
class Shape:
    """What a cue may be.

    Attributes:
        max_chars: of a line; a single longer word has a line of its own.
        max_lines: of a cue.
        max_gap: seconds between two words of a cue.
        max_duration: seconds from the beginning of a cue to its end.
    """

    max_chars: int = 42
    max_lines: int = 2
    max_gap: float = 1.0
    max_duration: float = 7.0


@dataclass(frozen=True)
class Cue:
    """Words that are shown together.

    Attributes:
        start, end: in seconds from the beginning of the file.
        lines: of text, one or more.
        confidence: geometric mean of that of the words.
    """

    start: float
    end: float
    lines: tuple[str, ...]
    confidence: float

    @property
    def text(self) -> str:
        """All words, joined by spaces."""
        return " ".join(self.lines)


def cues(words: Sequence[Span], shape: Shape) -> list[Cue]:
    """Cut words into cues.

    Args:
        words: in order, none beginning before the one in front has ended.
        shape: the limits.
    """
    made: list[Cue] = []
    group: list[Span] = []
    for word in words:
        if group and not _goes_with(group, word, shape):
            made.append(_cue(group, shape))
            group = []
        group.append(word)
    if group:
        made.append(_cue(group, shape))
    return made


def readable(made: Sequence[Cue], file_end: float, shape: Shape) -> list[Cue]:
    """The same cues, short ones shown for a second where neither the next cue nor the file's end is nearer.

    Args:
        made: cues in order.
        file_end: in seconds.
        shape: its max_duration holds here too.
    """
    shown = min(SHOWN_AT_LEAST, shape.max_duration)
    following = [cue.start for cue in made[1:]] + [file_end]
    return [
        replace(cue, end=max(cue.end, min(cue.start + shown, limit)))
        for cue, limit in zip(made, following, strict=False)
    ]


def _goes_with(group: list[Span], word: Span, shape: Shape) -> bool:
    if word.start - group[-1].end > shape.max_gap or word.end - group[0].start > shape.max_duration:
        return False
    texts = [span.text for span in group] + [word.text]
    return len(_wrap(texts, shape.max_chars)) <= shape.max_lines


def _cue(group: list[Span], shape: Shape) -> Cue:
    logs = [math.log(max(word.confidence, 1e-6)) for word in group]
    return Cue(
        start=group[0].start,
        end=min(group[-1].end, group[0].start + shape.max_duration),
        lines=tuple(_balanced([word.text for word in group], shape.max_chars)),
        confidence=math.exp(sum(logs) / len(logs)),
    )


def _balanced(texts: list[str], max_chars: int) -> list[str]:
    """As few lines as the width allows, and of these the evenest: the narrowest block."""
    lines = _wrap(texts, max_chars)
    for width in range(max(map(len, texts)), max_chars):
        narrow = _wrap(texts, width)
        if len(narrow) == len(lines):
            return narrow
    return lines


def _wrap(texts: list[str], width: int) -> list[str]:
    """Lines that are filled one after the other."""
    lines = [texts[0]]
    for text in texts[1:]:
        if len(lines[-1]) + 1 + len(text) <= width:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return lines

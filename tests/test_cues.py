"""Cues: in order, apart, within the file, within their limits, and with every word."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewcli.results import Span
from sewcli.writers.cues import Shape, cues, readable

pauses = st.sampled_from([0, 20, 40, 400, 990, 1000, 1010, 5000])
texts = st.text("ABC'é", min_size=1, max_size=12)


@st.composite
def spoken(draw: st.DrawFn) -> tuple[list[Span], float]:
    """Words in order, in milliseconds that never overlap, and the end of their file."""
    time, words = 0, []
    drawn = st.tuples(pauses, st.integers(20, 9000), texts, st.floats(0, 1))
    for pause, length, text, confidence in draw(st.lists(drawn, max_size=30)):
        start = time + pause
        time = start + length
        words.append(Span(text, start / 1000, time / 1000, confidence))
    return words, (time + draw(st.integers(0, 3000))) / 1000


shapes = st.builds(
    Shape,
    max_chars=st.integers(1, 50),
    max_lines=st.integers(1, 4),
    max_gap=st.floats(0, 3),
    max_duration=st.floats(0.1, 20),
)


@given(spoken(), shapes)
def test_cues_hold_every_word_once_in_order_within_their_limits(
    said: tuple[list[Span], float], shape: Shape
) -> None:
    words, file_end = said
    made = cues(words, shape)
    assert [text for cue in made for text in cue.text.split(" ")] == [word.text for word in words]
    for cue in made:
        assert 1 <= len(cue.lines) <= shape.max_lines
        assert all(len(line) <= shape.max_chars or " " not in line for line in cue.lines)
        assert cue.end - cue.start <= shape.max_duration + 1e-9
        assert 0 < cue.confidence <= 1
    for shown in (made, readable(made, file_end, shape)):
        assert all(cue.start < cue.end <= file_end for cue in shown)
        assert all(cue.end - cue.start <= shape.max_duration + 1e-9 for cue in shown)
        assert all(one.end <= other.start for one, other in pairwise(shown))


@given(spoken(), shapes)
def test_a_cue_ends_only_where_a_limit_says_so(said: tuple[list[Span], float], shape: Shape) -> None:
    words, _ = said
    rest = iter(words)
    groups = [[next(rest) for _ in cue.text.split(" ")] for cue in cues(words, shape)]
    for group, following in pairwise(groups):
        joined = cues([*group, following[0]], shape)
        assert len(joined) == 2
    assert all(other.start - one.end <= shape.max_gap for group in groups for one, other in pairwise(group))


def line(text: str, start: float = 0.0, seconds: float = 0.3) -> list[Span]:
    return [
        Span(word, start + i * seconds, start + (i + 1) * seconds, 0.5) for i, word in enumerate(text.split())
    ]


def test_lines_are_even_and_as_few_as_can_be() -> None:
    [cue] = cues(line("THE QUICK BROWN FOX JUMPS OVER IT"), Shape(max_chars=25))
    assert cue.lines == ("THE QUICK BROWN", "FOX JUMPS OVER IT")
    [cue] = cues(line("A LONGERTHANTHELINE B"), Shape(max_chars=8, max_lines=3))
    assert cue.lines == ("A", "LONGERTHANTHELINE", "B")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Shape(max_gap=2.0), ["A B C D"]),
        (Shape(max_gap=1.5), ["A B", "C D"]),
        (Shape(max_gap=2.0, max_duration=2.9), ["A B C", "D"]),
        (Shape(max_gap=2.0, max_chars=3, max_lines=1), ["A B", "C D"]),
        (Shape(max_chars=1, max_lines=1), ["A", "B", "C", "D"]),
    ],
)
def test_each_limit_ends_a_cue(shape: Shape, expected: list[str]) -> None:
    words = [*line("A B"), *line("C D", start=2.5)]
    assert [cue.text for cue in cues(words, shape)] == expected


def test_short_cues_are_shown_for_a_second_where_there_is_room() -> None:
    words = [*line("A"), *line("B", start=0.7), *line("C", start=5.0)]
    shape = Shape(max_gap=0.1)
    shown = readable(cues(words, shape), 5.4, shape)
    assert [(cue.start, cue.end) for cue in shown] == [(0.0, 0.7), (0.7, 1.7), (5.0, 5.4)]
    assert cues([], shape) == readable([], 5.4, shape) == []

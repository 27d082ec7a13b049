"""Times corrected by the constants of a model's entry in models.toml."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from conftest import Sew
from hypothesis import example, given
from hypothesis import strategies as st

from sewcli.decoding.offsets import corrected
from sewcli.results import ModelInfo, Span


def spans_of(edges: list[int]) -> list[Span]:
    """Spans between edges in frames of 20 ms."""
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [Span("a", round(start * 0.02, 3), round(end * 0.02, 3), 0.5) for start, end in pairs]


@given(
    edges=st.lists(st.integers(5, 95), unique=True, max_size=20).map(sorted),
    start=st.sampled_from([-0.3, -0.05, 0.0, 0.03, 0.3]),
    end=st.sampled_from([-0.3, -0.05, 0.0, 0.07, 0.3]),
)
@example(edges=[5, 11, 15, 39], start=-0.3, end=0.0)
def test_spans_stay_in_order_and_inside(edges: list[int], start: float, end: float) -> None:
    spans = spans_of(edges)
    made = corrected(spans, ModelInfo("m", start_offset=start, end_offset=end), 0.1, 1.9)
    assert len(made) == len(spans)
    assert all(0.1 <= one.start <= one.end <= 1.9 for one in made)
    assert all(one.end <= other.start for one, other in itertools.pairwise(made))
    assert all(one.end - one.start > 0.0199 for one in made)


def test_offsets_are_added_where_there_is_room() -> None:
    spans = [Span("a", 0.1, 0.2, 0.5), Span("b", 0.24, 0.4, 0.5), Span("c", 0.9, 0.96, 0.5)]
    made = corrected(spans, ModelInfo("m", start_offset=0.01, end_offset=0.07), 0.0, 1.0)
    assert [(one.start, one.end) for one in made] == [(0.11, 0.25), (0.25, 0.47), (0.91, 1.0)]
    assert corrected(spans, ModelInfo("m"), 0.0, 0.5) == tuple(spans)


@pytest.mark.parametrize("command", ["transcribe", "align"])
def test_the_entry_of_a_model_moves_the_times_of_words_and_characters(
    sew: Sew, ctc: Path, audio: Path, user_directory: Path, command: str
) -> None:
    user_directory.mkdir(parents=True, exist_ok=True)
    text = ("--text", "at sea") if command == "align" else ()

    def record(offset: str) -> dict:
        (user_directory / "models.toml").write_text(f'[models.mine]\npath = "{ctc}"\ntask = "ctc"\n{offset}')
        given = (command, audio / "a.wav", "-m", "mine", "-f", "json", "--timestamps", "char", *text)
        return sew(*given).records[0]

    plain, moved = record(""), record("end_offset = 0.06")
    assert moved["text"] == plain["text"]
    for key in ("words", "chars"):
        following = [one["start"] for one in plain[key][1:]] + [3.0]
        expected = [min(one["end"] + 0.06, after) for one, after in zip(plain[key], following, strict=True)]
        assert [one["end"] for one in moved[key]] == pytest.approx(expected)
        assert [one["start"] for one in moved[key]] == [one["start"] for one in plain[key]]


def test_offsets_that_are_no_bias_are_refused(sew: Sew, ctc: Path, audio: Path, user_directory: Path) -> None:
    user_directory.mkdir(parents=True, exist_ok=True)
    for value in ("3.0", '"much"', "true"):
        entry = f'[models.mine]\npath = "{ctc}"\nend_offset = {value}\n'
        (user_directory / "models.toml").write_text(entry)
        result = sew("transcribe", audio / "a.wav", "-m", "mine")
        assert result.code == 5
        assert "end_offset" in result.err

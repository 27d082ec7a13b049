"""The arithmetic of keyword spotting: windows, smoothing and events, whatever the sizes of the blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sewcli.errors import UsageError
from sewcli.evaluation.detection import found
from sewcli.spotting.events import EventFinder, Run
from sewcli.spotting.options import SpottingOptions
from sewcli.spotting.smoothing import Scores, Smoother
from sewcli.spotting.windows import Window, Windower

LABELS = ("yes", "no", "_silence_", "_unknown_")


def windows(samples: np.ndarray, window: int, hop: int, cuts: list[int]) -> list[Window]:
    windower = Windower(window, hop)
    made: list[Window] = []
    edges = sorted([0, *(cut % (samples.size + 1) for cut in cuts), samples.size])
    for first, last in itertools.pairwise(edges):
        made += windower.push(samples[first:last])
    return made + list(windower.finish())


@given(
    size=st.integers(1, 200),
    window=st.integers(1, 40),
    data=st.data(),
    cuts=st.lists(st.integers(0, 200), max_size=12),
)
def test_windows_are_those_of_the_definition_whatever_the_blocks(
    size: int, window: int, data: st.DataObject, cuts: list[int]
) -> None:
    hop = data.draw(st.integers(1, window))
    samples = np.arange(size, dtype=np.float32)
    made = windows(samples, window, hop, cuts)
    starts = list(range(0, size - window + 1, hop))
    if not starts or starts[-1] + window < size:
        starts.append(max(0, size - window))
    assert [one.start for one in made] == starts
    for one in made:
        assert one.samples.tolist() == samples[one.start : one.start + window].tolist()
    assert made[-1].start + made[-1].samples.size == size


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    width=st.integers(1, 8),
)
def test_smoothed_scores_are_the_mean_of_the_neighbours(values: list[float], width: int) -> None:
    smoother = Smoother(width)
    made: list[Scores] = []
    for index, value in enumerate(values):
        made += smoother.push(Scores(index, np.array([value])))
    made += smoother.finish()
    assert len(made) == len(values)
    for index, one in enumerate(made):
        around = range(max(0, index - (width - 1) // 2), min(index + width // 2 + 1, len(values)))
        assert one.values[0] == pytest.approx(np.mean([values[place] for place in around]))
        # the middle of what it is the mean of, or an event would lie beside its word
        assert one.centre == pytest.approx(np.mean(around))


def runs_of(scores: np.ndarray, threshold: float, hop: int, gap: int) -> list[Run]:
    finder = EventFinder(range(scores.shape[1]), threshold, hop, gap)
    made: list[Run] = []
    for index, values in enumerate(scores):
        made += finder.push(Scores(100 + index * hop, values))
    return made + list(finder.finish(100 + len(scores) * hop))


def test_an_event_ends_with_the_recording() -> None:
    finder = EventFinder([0], 0.5, 1000, 0)
    assert list(finder.push(Scores(200, np.array([0.9], np.float32)))) == []
    assert list(finder.finish(400)) == [Run(0, 0.0, 400, pytest.approx(0.9))]


@given(
    scores=st.lists(st.tuples(*[st.sampled_from([0.0, 0.2, 0.5, 0.9])] * 2), min_size=1, max_size=40),
    threshold=st.sampled_from([0.1, 0.5, 0.8]),
    gap=st.integers(0, 40),
)
def test_every_hit_is_in_one_event_and_events_of_a_label_lie_apart(
    scores: list[tuple[float, float]], threshold: float, gap: int
) -> None:
    hop = 10
    values = np.array(scores)
    runs = runs_of(values, threshold, hop, gap)
    for label in (0, 1):
        own = sorted((run for run in runs if run.label == label), key=lambda run: run.start)
        hits = [100 + hop * index for index in np.flatnonzero(values[:, label] >= threshold)]
        held = [[hit for hit in hits if run.start < hit < run.end] for run in own]
        assert [hit for part in held for hit in part] == hits
        for run, part in zip(own, held, strict=True):
            assert (run.start, run.end) == (part[0] - hop / 2, part[-1] + hop / 2)
            assert run.score == max(values[(hit - 100) // hop, label] for hit in part)
            # neighbours within the gap are one event
            assert all(later - earlier <= hop + gap for earlier, later in itertools.pairwise(part))
        assert all(later.start - earlier.end > gap for earlier, later in itertools.pairwise(own))


@settings(max_examples=50)
@given(
    keywords=st.lists(st.integers(0, 30), max_size=6, unique=True),
    events=st.lists(st.integers(0, 30), max_size=6, unique=True),
    lengths=st.tuples(
        *(st.lists(st.sampled_from([0.3, 0.9, 7.0]), min_size=6, max_size=6) for _ in range(2))
    ),
)
def test_as_many_keywords_are_found_as_can_be(
    keywords: list[int], events: list[int], lengths: tuple[list[float], list[float]]
) -> None:
    # the long ones hold others
    said = [(start / 2, start / 2 + length / 2) for start, length in zip(keywords, lengths[0], strict=False)]
    # half a step off, so that an event may overlap two keywords
    heard = [
        (start / 2 + 0.25, start / 2 + 0.25 + length / 2)
        for start, length in zip(events, lengths[1], strict=False)
    ]

    def most(left: list[tuple[float, float]], free: list[tuple[float, float]]) -> int:
        if not left:
            return 0
        start, end = left[0]
        chosen = [
            1 + most(left[1:], [other for other in free if other != event])
            for event in free
            if event[0] < end and start < event[1]
        ]
        return max([most(left[1:], free), *chosen])

    assert found(said, heard) == most(said, heard)


def test_an_event_that_only_touches_a_keyword_has_not_found_it() -> None:
    assert found([(1.0, 2.0)], [(0.5, 1.0)]) == 0
    assert found([(1.0, 2.0)], [(2.0, 2.5)]) == 0
    assert found([(1.0, 2.0), (10.0, 13.0)], [(0.5, 1.0)]) == 0
    assert found([(1.0, 2.0)], [(0.5, 1.01), (1.99, 3.0)]) == 1


def test_options_that_cannot_work_are_refused() -> None:
    for wrong in (
        {"window": 0.01},
        {"window": 61.0},
        {"hop": 0.0},
        {"hop": 1.1},
        {"smooth": 0},
        {"threshold": 0.0},
        {"threshold": 1.1},
        {"merge_gap": -1.0},
        {"merge_gap": float("inf")},
        {"gate": float("nan")},
        {"window": float("nan")},
    ):
        with pytest.raises(UsageError):
            SpottingOptions(**wrong).check()  # type: ignore[arg-type]
    SpottingOptions().check()


def test_unknown_and_silence_are_never_events() -> None:
    assert SpottingOptions().columns(LABELS) == (0, 1)
    assert SpottingOptions(labels=("no",)).columns(LABELS) == (1,)
    with pytest.raises(UsageError, match="never an event"):
        SpottingOptions(labels=("_unknown_",)).columns(LABELS)
    with pytest.raises(UsageError, match="maybe"):
        SpottingOptions(labels=("maybe",)).columns(LABELS)

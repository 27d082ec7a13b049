"""Windows of keyword spotting under way: several at once, silence among them, and what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import babble, write_babble

from sewcli.acoustic.budget import Room
from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment, Underway
from sewcli.acoustic.running import RunningModel
from sewcli.acoustic.statistics import wave_statistics
from sewcli.consumers.classifier import probabilities
from sewcli.errors import DeviceError
from sewcli.hub.fetching import fetch
from sewcli.inputs.source import Source
from sewcli.registry import resolve
from sewcli.results import Detections, ModelInfo
from sewcli.spotting.heard import WindowScores
from sewcli.spotting.options import SpottingOptions
from sewcli.spotting.smoothing import Scores
from sewcli.spotting.spotter import Spotter
from sewcli.spotting.windows import Window

SIZE = 8000
#: of these windows the network hears nothing
SILENT = {0, 1, 4, 5, 6, 11}
COUNT = 12


@pytest.fixture(scope="module")
def loaded() -> RunningModel:
    return load_model(fetch(resolve("nano-keywords")), "classification", device="cpu")


def heard_windows() -> list[tuple[Window, Segment | None]]:
    """One second each, at the numbers of their order."""
    windows = []
    for number in range(COUNT):
        samples = babble(1.0, seed=number)
        segment = None if number in SILENT else Segment(samples, wave_statistics(samples))
        windows.append((Window(number * SIZE, samples), segment))
    return windows


def check(scores: Sequence[Scores], model: RunningModel) -> None:
    windows = heard_windows()[: len(scores)]
    assert [one.centre for one in scores] == [window.centre for window, _ in windows]
    for one, (_, segment) in zip(scores, windows, strict=True):
        expected = 0.0 if segment is None else probabilities(model([segment])[0])
        np.testing.assert_allclose(one.values, expected, atol=1e-6)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_scores_come_in_order_with_silence_between(loaded: RunningModel, rows: int, threads: int) -> None:
    torch.set_num_threads(threads)
    names: set[str] = set()
    start = loaded._begin

    def watched(segments: Sequence[Segment]) -> Underway:
        names.add(threading.current_thread().name.rpartition("_")[0])
        return start(segments)

    heard = WindowScores(loaded, "a.wav", rows, live=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loaded, "_begin", watched)
        scores = [one for window in heard_windows() for one in heard.push(*window)]
        scores += heard.finish()
    assert names == ({"sew-lane"} if threads == 2 and rows < COUNT else {""})
    assert len(scores) == COUNT
    check(scores, loaded)


@pytest.mark.usefixtures("one_thread")
def test_what_is_live_is_scored_at_once(loaded: RunningModel) -> None:
    torch.set_num_threads(2)
    heard = WindowScores(loaded, "a.wav", 1, live=True)
    scores = []
    for window in heard_windows():
        (one,) = heard.push(*window)
        scores.append(one)
    assert list(heard.finish()) == []
    check(scores, loaded)


def test_silence_does_not_wait_where_nothing_is_under_way(loaded: RunningModel) -> None:
    heard = WindowScores(loaded, "a.wav", 100, live=False)
    windows = heard_windows()
    assert len(list(heard.push(*windows[0]))) == 1
    assert len(list(heard.push(*windows[1]))) == 1
    assert list(heard.push(*windows[2])) == []
    heard.close()


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [1, 4])
def test_windows_before_the_one_that_does_not_fit_are_scored(
    loaded: RunningModel, monkeypatch: pytest.MonkeyPatch, threads: int, rows: int
) -> None:
    torch.set_num_threads(threads)
    loaded.room = Room()
    start, failing = loaded._begin, heard_windows()[8][1]
    assert failing is not None

    def short_of_memory(segments: Sequence[Segment]) -> Underway:
        if any(np.array_equal(segment.samples, failing.samples) for segment in segments):
            raise torch.OutOfMemoryError("no memory left")
        return start(segments)

    scores: list[Scores] = []
    heard = WindowScores(loaded, "a.wav", rows, live=False)
    monkeypatch.setattr(loaded, "_begin", short_of_memory)

    def listen() -> None:
        for window in heard_windows():
            scores.extend(heard.push(*window))
        scores.extend(heard.finish())

    with pytest.raises(DeviceError, match="one piece"):
        listen()
    scores += heard.drain()
    monkeypatch.undo()
    check(scores, loaded)
    assert len(scores) == 8


def test_all_of_a_part_are_as_long_as_the_part(loaded: RunningModel, tmp_path: Path) -> None:
    file = write_babble(tmp_path / "a.wav", 6.0)
    spotter = Spotter(loaded, ModelInfo("nano-keywords"), SpottingOptions())
    *_, found = spotter.results([Source("a.wav", file, offset=2.0, duration=3.0)])
    assert isinstance(found, Detections)
    assert (found.offset, found.duration) == (2.0, 3.0)

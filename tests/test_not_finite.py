"""Recordings for which a network gives no numbers, and networks that give none at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import LABELS, Logits, babble, tiny_model

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.running import RunningModel
from sewcli.acoustic.statistics import wave_statistics
from sewcli.chunking import ChunkPlan, kept_frame_count
from sewcli.errors import InputError, ModelError
from sewcli.evaluation.measuring import MeasuringConsumer, Stopwatch
from sewcli.hub.fetching import LocalModel, fetch
from sewcli.inputs.source import Source
from sewcli.pipeline.run import Options, run
from sewcli.reading.recording import Recording
from sewcli.registry import ModelSpec, resolve
from sewcli.results import Failure
from sewcli.spotting.heard import WindowScores
from sewcli.spotting.smoothing import Scores
from sewcli.spotting.windows import Window

SPEECH = Path(__file__).parent.parent / "examples" / "speech"
CLIPS = [Source(str(clip), clip) for clip in sorted(SPEECH.iterdir())]
FRAMES = [kept_frame_count(Recording(source).samples) for source in CLIPS]
PLAN = ChunkPlan.from_seconds(20, 1)


@pytest.fixture
def fresh(ctc: Path) -> RunningModel:
    """A model that has given no numbers so far."""
    return load_model(fetch(resolve(str(ctc))), "ctc", device="cpu")


def spoil(model: RunningModel, monkeypatch: pytest.MonkeyPatch, is_odd: Callable[[int], bool]) -> None:
    """Have a network give no numbers for rows of so many frames."""
    forward = model.forward

    def spoiled(batch: Batch) -> torch.Tensor:
        logits = forward(batch).clone()
        for row, frames in enumerate(batch.frame_counts):
            if is_odd(frames):
                logits[row, ..., 3] = torch.nan
        return logits

    monkeypatch.setattr(model, "forward", spoiled)


def is_one_of(frames: Sequence[int]) -> Callable[[int], bool]:
    # the odd last frame of a recording is no prediction
    return lambda count: count // 2 * 2 in frames


@pytest.mark.parametrize("seconds", [0, 12, 1000])
@pytest.mark.parametrize("odd", [[0], [2, 3], [len(CLIPS) - 1]], ids=str)
def test_a_recording_without_numbers_fails_alone_wherever_it_stands(
    small: RunningModel,
    fresh: RunningModel,
    monkeypatch: pytest.MonkeyPatch,
    odd: list[int],
    seconds: float,
) -> None:
    expected = dict(run(CLIPS, small, Logits, Options(PLAN, batch_seconds=seconds)))
    assert len(set(FRAMES)) == len(FRAMES)
    spoil(fresh, monkeypatch, is_one_of([FRAMES[number] for number in odd]))
    results = list(run(CLIPS, fresh, Logits, Options(PLAN, batch_seconds=seconds)))
    for number, (source, result) in enumerate(zip(CLIPS, results, strict=True)):
        if number in odd:
            assert isinstance(result, Failure)
            assert (result.path, result.code) == (source.path, "not_finite_logits")
            assert result.message.startswith(f"{source.path}: ")
            assert "--dtype float32" in result.message
        else:
            assert result[0] == source.path
            np.testing.assert_array_equal(result[1], expected[source.path])


def test_a_part_without_numbers_costs_all_of_its_recording(
    fresh: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ChunkPlan.from_seconds(1, 0.2)
    longest = max(range(len(CLIPS)), key=FRAMES.__getitem__)
    whole, seen = FRAMES[longest], []

    def is_odd(frames: int) -> bool:
        seen.append(frames)
        return len(seen) == 3

    spoil(fresh, monkeypatch, is_odd)
    assert whole > 150
    failed, *others = run([CLIPS[longest], *CLIPS], fresh, Logits, Options(plan))
    assert isinstance(failed, Failure)
    assert [result[0] for result in others] == [source.path for source in CLIPS]


def test_a_network_that_gives_no_numbers_at_all_ends_the_run(
    fresh: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(fresh, monkeypatch, lambda _: True)
    with pytest.raises(ModelError, match="gives logits that are not numbers in float32"):
        list(run(CLIPS, fresh, Logits, Options(PLAN)))


def test_times_are_those_of_their_recordings_where_one_has_failed(
    fresh: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(fresh, monkeypatch, is_one_of([FRAMES[1]]))
    stopwatch = Stopwatch(fresh)
    results = list(run(CLIPS, stopwatch, lambda: MeasuringConsumer(Logits(), stopwatch), Options(PLAN, 15)))
    assert [isinstance(result, Failure) for result in results].count(True) == 1
    assert not stopwatch._shares
    measured = [result.network_seconds for result in results if not isinstance(result, Failure)]
    assert 0 < sum(measured) < stopwatch.total


@pytest.mark.parametrize("rows", [1, 3])
def test_windows_before_one_without_numbers_are_scored(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tiny_model(tmp_path / "model", "sew", "classification")
    loaded = load_model(
        LocalModel(ModelSpec(path=directory), directory, None), "classification", device="cpu"
    )
    sizes = [16_000 + 640 * number for number in range(8)]
    windows = [Window(0, babble(size / 16_000 + 0.001, size)[:size]) for size in sizes]
    spoil(loaded, monkeypatch, is_one_of([kept_frame_count(sizes[5])]))
    heard = WindowScores(loaded, "talk.wav", rows, live=False)
    scores: list[Scores] = []

    def listen() -> None:
        for window in windows:
            scores.extend(heard.push(window, Segment(window.samples, wave_statistics(window.samples))))
        scores.extend(heard.finish())

    with pytest.raises(InputError, match=r"talk\.wav: the network gives values that are not numbers"):
        listen()
    assert [score.centre for score in scores] == [size / 2 for size in sizes[:5]]
    assert all(score.values.shape == (len(LABELS),) for score in scores)

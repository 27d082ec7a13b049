"""Chunks side by side on the threads of a CPU."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from example_runs import CLIPS, logits, wav_samples
from helpers import Logits, until_error

from sewcli.acoustic import lanes
from sewcli.acoustic.batch import Batch
from sewcli.acoustic.budget import Room
from sewcli.acoustic.lanes import lane_count
from sewcli.acoustic.model import Segment, Underway
from sewcli.acoustic.running import RunningModel
from sewcli.chunking import ChunkPlan
from sewcli.errors import DeviceError, ModelError
from sewcli.pipeline.run import Options, run


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_batches_side_by_side_give_what_they_give_in_turn(small: RunningModel, seconds: float) -> None:
    """In the order of the inputs, on a part of the threads each, which torch keeps for all others."""
    small.room = Room()
    torch.set_num_threads(1)
    expected = logits(small, batch_seconds=seconds)
    torch.set_num_threads(2)
    assert small.lanes == 2
    seen: set[tuple[str, int]] = set()
    forward = small.forward

    def watched(batch: Batch) -> torch.Tensor:
        seen.add((threading.current_thread().name.rpartition("_")[0], torch.get_num_threads()))
        return forward(batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small, "forward", watched)
        got = logits(small, batch_seconds=seconds)
        assert seen == {("sew-lane", 1)}
        seen.clear()
        assert len(list(run(CLIPS[1:2], small, Logits, Options(ChunkPlan.from_seconds(20.0, 1.0))))) == 1
        assert seen == {("", 2)}, "a chunk alone has all threads"
    assert torch.get_num_threads() == 2
    for (path, ours), (other, theirs) in zip(got, expected, strict=True):
        assert path == other
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.fixture
def in_lanes(
    small: RunningModel, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> Callable[..., tuple[list[str], Exception | None]]:
    """Run the clips in two lanes, with an error for some of them."""
    torch.set_num_threads(2)
    start = small._begin

    def with_error(numbers: Sequence[int], error: Exception, *, only_beside: bool = False) -> Any:
        sizes = {wav_samples(CLIPS[number]) for number in numbers}

        def failing(segments: Sequence[Segment]) -> Underway:
            beside = threading.current_thread().name.startswith("sew-lane")
            if segments[0].samples.size in sizes and (beside or not only_beside):
                raise error
            return start(segments)

        monkeypatch.setattr(small, "_begin", failing)
        return until_error(run(CLIPS, small, Logits, Options(ChunkPlan.from_seconds(20.0, 1.0))))

    return with_error


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("no memory left"), ModelError("no numbers", code="not_finite")],
    ids=["memory", "numbers"],
)
@pytest.mark.parametrize("numbers", [[3], [3, 4], [5]])
def test_what_goes_wrong_in_a_lane_ends_the_run_after_the_results_before_it(
    in_lanes: Any, numbers: list[int], error: Exception
) -> None:
    found, raised = in_lanes(numbers, error)
    assert isinstance(raised, ModelError if isinstance(error, ModelError) else DeviceError)
    assert found == [source.path for source in CLIPS[: numbers[0]]]


@pytest.mark.parametrize("numbers", [[1, 4], [0, 1], [1, 2, 3]])
def test_a_chunk_that_fits_alone_is_run_alone(in_lanes: Any, numbers: list[int]) -> None:
    """Beside others there was too little memory, for several at once too."""
    found, raised = in_lanes(numbers, torch.OutOfMemoryError("no memory left"), only_beside=True)
    assert raised is None
    assert found == [source.path for source in CLIPS]


@pytest.mark.parametrize(
    ("threads", "lanes"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (8, 4), (14, 2), (16, 4)]
)
def test_lanes_leave_no_thread_over(monkeypatch: pytest.MonkeyPatch, threads: int, lanes: int) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert lane_count() == lanes


def test_an_interrupt_while_lanes_are_made_leaves_none_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter waits for them when it ends."""

    class Interrupted(threading.Barrier):
        def wait(self, timeout: float | None = None) -> int:
            if threading.current_thread() is threading.main_thread():
                raise KeyboardInterrupt
            return super().wait(timeout)

    before = {thread for thread in threading.enumerate() if thread.name.startswith("sew-lane")}
    threads = torch.get_num_threads()
    monkeypatch.setattr("sewcli.acoustic.lanes.threading.Barrier", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        lanes._pool.__wrapped__(2)
    gc.collect()  # the pool, and with it its threads
    latest = time.monotonic() + 30
    while lanes_left := {
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("sew-lane") and thread not in before
    }:
        assert time.monotonic() < latest, lanes_left
        time.sleep(0.01)
    torch.set_num_threads(threads)

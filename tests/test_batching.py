"""Batches under way beside the host and batches of like lengths: the way of a GPU, run on the CPU."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from example_runs import CLIPS, PLAN, logits
from helpers import Logits, write_babble

from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment, Starting, Underway
from sewcli.acoustic.running import RunningModel
from sewcli.acoustic.transfers import Copied, Transfers
from sewcli.chunking import ChunkPlan
from sewcli.errors import DeviceError
from sewcli.hub.fetching import fetch
from sewcli.inputs.source import Source
from sewcli.pipeline import batching
from sewcli.pipeline.run import Options, run
from sewcli.registry import resolve
from sewcli.results import Failure


class Slow(Transfers):
    """Copies to the host that are not there when first asked for, as those of a card that computes."""

    def __init__(self, device: torch.device, readiness: Iterator[bool]) -> None:
        super().__init__(device)
        self.readiness = readiness
        self.underway = self.most = 0

    def to_host(self, tensor: torch.Tensor) -> Copied:
        self.underway += 1
        self.most = max(self.most, self.underway)
        return _SlowCopy(self, super().to_host(tensor))


class _SlowCopy:
    def __init__(self, owner: Slow, copied: Copied) -> None:
        self._owner, self._copied = owner, copied

    def ready(self) -> bool:
        return next(self._owner.readiness)

    def array(self) -> Any:
        self._owner.underway -= 1
        return self._copied.array()


@pytest.mark.parametrize("pattern", [[False], [True], [False, False, True]])
def test_a_batch_goes_on_while_the_next_is_made(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch, pattern: list[bool]
) -> None:
    """The same logits in the same order, and never more than two batches at once."""
    expected = logits(one_lane, batch_seconds=5.0)

    def readiness() -> Iterator[bool]:
        while True:
            yield from pattern

    slow = Slow(torch.device("cpu"), readiness())
    monkeypatch.setattr(one_lane, "_transfers", slow)
    got = logits(one_lane, batch_seconds=5.0)
    assert [path for path, _ in got] == [source.path for source in CLIPS]
    for (_, ours), (_, theirs) in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert slow.underway == 0
    assert slow.most == (1 if pattern == [True] else 2)


def test_every_engine_can_begin_a_batch(one_lane: RunningModel) -> None:
    assert isinstance(one_lane, Starting)


def test_a_card_gets_chunks_of_like_lengths_and_each_recording_its_outputs_in_order(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One of several chunks whose last is short stands between others of any length."""
    random = np.random.default_rng(0)
    lengths = [*random.uniform(0.3, 1.9, 30), 7.3, *random.uniform(0.3, 1.9, 30), 5.1]
    clips = []
    for number, seconds in enumerate(lengths):
        write_babble(tmp_path / f"{number}.wav", seconds, seed=number)
        clips.append(Source(f"{number}.wav", tmp_path / f"{number}.wav"))
    options = Options(ChunkPlan.from_seconds(2.0, 0.2), batch_seconds=8.0, read_workers=0)
    batches: list[list[int]] = []
    start = one_lane._begin

    def noted(segments: Sequence[Segment]) -> Underway:
        batches.append([segment.samples.size for segment in segments])
        return start(segments)

    monkeypatch.setattr(one_lane, "_begin", noted)
    expected = list(run(clips, one_lane, Logits, options))
    in_order = batches.copy()
    batches.clear()
    monkeypatch.setattr(one_lane, "device", "cuda:0")
    monkeypatch.setattr(batching, "MOST_ROWS", 16)
    got = list(run(clips, one_lane, Logits, options))
    assert [path for path, _ in got] == [f"{number}.wav" for number in range(len(lengths))]
    for (_, ours), (_, theirs) in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)

    def padding(run_in: list[list[int]]) -> float:
        return 1 - sum(map(sum, run_in)) / sum(len(batch) * max(batch) for batch in run_in)

    assert all(len(batch) * max(batch) <= 8.0 * 16_000 for batch in in_order)
    assert sorted(itertools.chain(*batches)) == sorted(itertools.chain(*in_order))
    assert all(len(batch) * max(batch) <= 8.0 * 16_000 for batch in batches)
    assert padding(batches) < 0.7 * padding(in_order)


def test_batches_in_order_have_few_enough_rows_and_no_more_than_fitted_before(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = write_babble(tmp_path / "a.wav", 12.0)
    options = Options(ChunkPlan.from_seconds(1.0, 0.0), batch_seconds=6.0, read_workers=0)
    rows: list[int] = []
    begin = one_lane._begin

    def noted(segments: Sequence[Segment]) -> Underway:
        rows.append(len(segments))
        return begin(segments)

    monkeypatch.setattr(one_lane, "_begin", noted)
    list(run([Source("a.wav", file)], one_lane, Logits, options))
    assert max(rows) > 4
    for change in ("rows", "memory"):
        rows.clear()
        with monkeypatch.context() as patched:
            if change == "rows":
                patched.setattr(batching, "MOST_ROWS", 3)
            else:
                one_lane.room.overflowed(6.5)
            list(run([Source("a.wav", file)], one_lane, Logits, options))
        assert max(rows) == 3
        assert sum(rows) == 12
    # a batch that is too large would have been halved: 6 rows as 3 and 3, not 3, 3, 3, 3
    assert rows == [3, 3, 3, 3]


def test_results_of_a_batch_under_way_come_before_the_end_of_the_run(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch holds all of the first recording, and the second does not fit."""
    start, begun = one_lane._begin, []

    def once(segments: Sequence[Segment]) -> Underway:
        begun.append(len(segments))
        if len(begun) > 1:
            raise torch.OutOfMemoryError("no memory left")
        return start(segments)

    monkeypatch.setattr(one_lane, "_transfers", Slow(torch.device("cpu"), iter(lambda: False, True)))
    monkeypatch.setattr(one_lane, "_begin", once)
    results = run(CLIPS, one_lane, Logits, Options(PLAN, batch_seconds=7.0))
    assert next(results)[0] == CLIPS[0].path
    with pytest.raises(DeviceError, match="one piece"):
        next(results)
    assert begun[0] > 1


def test_a_batch_under_way_is_finished_before_a_failure_behind_it(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    sources = [CLIPS[0], Source(str(bad), bad), CLIPS[1]]
    monkeypatch.setattr(one_lane, "_transfers", Slow(torch.device("cpu"), iter(lambda: False, True)))
    results = list(run(sources, one_lane, Logits, Options(PLAN, batch_seconds=5.0)))
    assert isinstance(results[1], Failure)
    assert [results[0][0], results[2][0]] == [CLIPS[0].path, CLIPS[1].path]


@pytest.mark.card
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_gpu_gives_the_text_of_the_cpu(dtype: str) -> None:
    """In float32 the logits of the CPU to 1e-4; in bfloat16 nearly the same labels."""
    on_cpu = load_model(fetch(resolve("nano")), "ctc", device="cpu")
    on_gpu = load_model(fetch(resolve("nano")), "ctc", device="cuda", dtype=dtype)
    expected = dict(run(CLIPS, on_cpu, Logits, Options(PLAN)))
    got = dict(run(CLIPS, on_gpu, Logits, Options(PLAN, batch_seconds=60.0)))
    for path, theirs in expected.items():
        if dtype == "float32":
            np.testing.assert_allclose(got[path], theirs, atol=1e-4 * np.abs(theirs).max())
        else:
            assert np.mean(got[path].argmax(1) == theirs.argmax(1)) > 0.95

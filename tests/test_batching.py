"""Batches under way beside the host, halves of those that do not fit: the way of a GPU, run on the CPU."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from example_runs import CLIPS, PLAN, logits, wav_samples
from helpers import Logits, write_babble

from sewcli.acoustic.engine.fast import FastModel
from sewcli.acoustic.failures import is_out_of_memory
from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment, Starting, Underway
from sewcli.acoustic.running import RunningModel
from sewcli.acoustic.statistics import wave_statistics
from sewcli.acoustic.transfers import Copied, Transfers
from sewcli.chunking import ChunkPlan
from sewcli.errors import DeviceError
from sewcli.hub.fetching import fetch
from sewcli.inputs.source import Source
from sewcli.pipeline import batching
from sewcli.pipeline.run import Options, run
from sewcli.registry import resolve
from sewcli.results import Failure


@pytest.fixture(scope="module")
def loaded() -> RunningModel:
    return load_model(fetch(resolve("nano")), "ctc", device="cpu")


@pytest.fixture
def nano(loaded: RunningModel, monkeypatch: pytest.MonkeyPatch) -> RunningModel:
    """Without lanes, as on a GPU."""
    monkeypatch.setattr(FastModel, "lanes", 1)
    loaded.most_seconds = math.inf  # what a batch that did not fit leaves behind
    return loaded


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
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch, pattern: list[bool]
) -> None:
    """The same logits in the same order, and never more than two batches at once."""
    expected = logits(nano, batch_seconds=5.0)

    def readiness() -> Iterator[bool]:
        while True:
            yield from pattern

    slow = Slow(torch.device("cpu"), readiness())
    monkeypatch.setattr(nano, "_transfers", slow)
    got = logits(nano, batch_seconds=5.0)
    assert [path for path, _ in got] == [source.path for source in CLIPS]
    for (_, ours), (_, theirs) in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert slow.underway == 0
    assert slow.most == (1 if pattern == [True] else 2)


def test_every_engine_can_begin_a_batch(nano: RunningModel) -> None:
    assert isinstance(nano, Starting)


class Small:
    """A model on a device whose memory takes so many rows at a time."""

    def __init__(self, model: RunningModel, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tried: list[int] = []
        start = model._start

        def limited(segments: Sequence[Segment]) -> Underway:
            self.tried.append(len(segments))
            if len(segments) > rows:
                raise torch.OutOfMemoryError("no memory left")
            return start(segments)

        monkeypatch.setattr(model, "_start", limited)


def test_a_batch_that_does_not_fit_runs_in_halves(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits(nano, batch_seconds=30.0)
    small = Small(nano, 2, monkeypatch)
    got = logits(nano, batch_seconds=30.0)
    assert max(small.tried) > 2
    # once is enough: no later batch is tried that would not fit either
    assert sum(rows > 2 for rows in small.tried) < 4
    for (path, ours), (other, theirs) in zip(got, expected, strict=True):
        assert path == other
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5)


def test_a_card_gets_chunks_of_like_lengths_and_each_recording_its_outputs_in_order(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
    start = nano._start

    def noted(segments: Sequence[Segment]) -> Underway:
        batches.append([segment.samples.size for segment in segments])
        return start(segments)

    monkeypatch.setattr(nano, "_start", noted)
    expected = list(run(clips, nano, Logits, options))
    in_order = batches.copy()
    batches.clear()
    monkeypatch.setattr(nano, "device", "cuda:0")
    monkeypatch.setattr(batching, "MOST_ROWS", 16)
    got = list(run(clips, nano, Logits, options))
    assert [path for path, _ in got] == [f"{number}.wav" for number in range(len(lengths))]
    for (_, ours), (_, theirs) in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)

    def padding(run_in: list[list[int]]) -> float:
        return 1 - sum(map(sum, run_in)) / sum(len(batch) * max(batch) for batch in run_in)

    assert sorted(itertools.chain(*batches)) == sorted(itertools.chain(*in_order))
    assert all(len(batch) * max(batch) <= 8.0 * 16_000 for batch in batches)
    assert padding(batches) < 0.7 * padding(in_order)


def test_beside_a_card_what_comes_before_the_piece_that_does_not_fit_is_handed_on_too(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The long one is put together with the first, and those between them have not begun."""
    clips = []
    for number, seconds in enumerate((6.0, 1.0, 1.2, 6.5, 1.1)):
        write_babble(tmp_path / f"{number}.wav", seconds, seed=number)
        clips.append(Source(f"{number}.wav", tmp_path / f"{number}.wav"))
    start = nano._start

    def short_of_memory(segments: Sequence[Segment]) -> Underway:
        if max(segment.samples.size for segment in segments) > 6.3 * 16_000:
            raise torch.OutOfMemoryError("no memory left")
        return start(segments)

    monkeypatch.setattr(nano, "_start", short_of_memory)
    monkeypatch.setattr(nano, "device", "cuda:0")
    options = Options(ChunkPlan.from_seconds(20.0, 1.0), batch_seconds=20.0, read_workers=0)
    results = run(clips, nano, Logits, options)
    done = [next(results)[0] for _ in range(3)]
    with pytest.raises(DeviceError, match=r"one piece of 6\.5 s"):
        next(results)
    assert done == ["0.wav", "1.wav", "2.wav"]


def test_one_piece_that_does_not_fit_ends_the_run(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    Small(nano, 0, monkeypatch)
    with pytest.raises(DeviceError, match=r"one piece of \d\.\d s"):
        logits(nano, batch_seconds=30.0)


def test_pieces_before_the_one_that_does_not_fit_are_handed_on(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch whose halves are run apart the first half is done."""
    start = nano._start
    most = max(map(wav_samples, CLIPS[:2]))

    def short_of_memory(segments: Sequence[Segment]) -> Underway:
        if len(segments) > 1 or segments[0].samples.size == most:
            raise torch.OutOfMemoryError("no memory left")
        return start(segments)

    monkeypatch.setattr(nano, "_start", short_of_memory)
    ordered = sorted(CLIPS[:2], key=wav_samples)
    plan = ChunkPlan.from_seconds(60.0, 0.2)
    results = run(ordered, nano, Logits, Options(plan, batch_seconds=60.0))
    assert next(results)[0] == ordered[0].path
    with pytest.raises(DeviceError, match="one piece"):
        next(results)


@pytest.mark.parametrize(
    "told",
    [
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
        "CUDA error: out of memory\nCUDA kernel errors might be reported at some other call",
        "GET was unable to find an engine to execute this computation",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        "Triton Error [CUDA]: out of memory",
        "backend='inductor' raised:\nOutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA driver error: out of memory",
        "NVML_SUCCESS == r INTERNAL ASSERT FAILED at CUDACachingAllocator.cpp",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_want_of_memory_is_told_by_what_torch_says(told: str) -> None:
    assert is_out_of_memory(RuntimeError(told))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


def test_one_piece_that_does_not_fit_says_what_torch_says(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_segments: Sequence[Segment]) -> Underway:
        raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED\nmore about it")

    monkeypatch.setattr(nano, "_start", fail)
    with pytest.raises(DeviceError, match=r"one piece of .* s: cuDNN error: [A-Z_]+ \(use"):
        logits(nano, batch_seconds=0.0)


def test_the_error_for_one_piece_that_does_not_fit_keeps_nothing_of_it(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For whoever tries something else then, in Python."""
    alive = []

    def fail(_segments: Sequence[Segment]) -> Underway:
        hidden = torch.zeros(3)
        alive.append(weakref.ref(hidden))
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(nano, "_start", fail)
    samples = np.zeros(16_000, np.float32)
    with pytest.raises(DeviceError) as caught:
        nano([Segment(samples, wave_statistics(samples))])
    assert caught.value.__cause__ is not None
    assert [one() for one in alive] == [None]


class Lost:
    """Logits on a card that is lost before they are there."""

    def __init__(self, *, even_asked: bool) -> None:
        self._even_asked = even_asked

    def ready(self) -> bool:
        return self.array() if self._even_asked else True

    def array(self) -> NoReturn:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nFor debugging ...")


@pytest.mark.parametrize("even_asked", [False, True])
def test_a_device_that_is_lost_ends_the_run_after_what_is_done(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch, even_asked: bool
) -> None:
    monkeypatch.setattr(FastModel, "lanes", 1)
    there, sent = nano._transfers.to_host, []

    def to_host(tensor: torch.Tensor) -> Copied:
        sent.append(tensor)
        return there(tensor) if len(sent) == 1 else Lost(even_asked=even_asked)

    monkeypatch.setattr(nano._transfers, "to_host", to_host)
    results = run(CLIPS, nano, Logits, Options(PLAN, batch_seconds=7.0))
    assert next(results)[0] == CLIPS[0].path
    with pytest.raises(DeviceError, match=r"^cpu failed: CUDA error: unspecified launch failure \(run again"):
        next(results)


def test_a_kernel_that_fails_ends_the_run_in_one_line(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_segments: Sequence[Segment]) -> Underway:
        raise torch.AcceleratorError("CUDA error: no kernel image is available\nFor debugging ...")

    monkeypatch.setattr(nano, "_start", fail)
    with pytest.raises(DeviceError, match=r"no kernel image is available \(run again"):
        logits(nano, batch_seconds=0.0)


def test_results_of_a_batch_under_way_come_before_the_end_of_the_run(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch holds all of the first recording, and the second does not fit."""
    start, begun = nano._start, []

    def once(segments: Sequence[Segment]) -> Underway:
        begun.append(len(segments))
        if len(begun) > 1:
            raise torch.OutOfMemoryError("no memory left")
        return start(segments)

    monkeypatch.setattr(nano, "_transfers", Slow(torch.device("cpu"), iter(lambda: False, True)))
    monkeypatch.setattr(nano, "_start", once)
    results = run(CLIPS, nano, Logits, Options(PLAN, batch_seconds=7.0))
    assert next(results)[0] == CLIPS[0].path
    with pytest.raises(DeviceError, match="one piece"):
        next(results)
    assert begun[0] > 1


def test_a_batch_under_way_is_finished_before_a_failure_behind_it(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    sources = [CLIPS[0], Source(str(bad), bad), CLIPS[1]]
    monkeypatch.setattr(nano, "_transfers", Slow(torch.device("cpu"), iter(lambda: False, True)))
    results = list(run(sources, nano, Logits, Options(PLAN, batch_seconds=5.0)))
    assert isinstance(results[1], Failure)
    assert [results[0][0], results[2][0]] == [CLIPS[0].path, CLIPS[1].path]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
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

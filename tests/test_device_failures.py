"""Devices whose memory is too small, or that are lost: halves of batches, and what was done before."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from example_runs import CLIPS, PLAN, logits, wav_samples
from helpers import Logits, short_of_memory, write_babble

from sewcli.acoustic import budget
from sewcli.acoustic.engine.fast import FastModel
from sewcli.acoustic.failures import is_out_of_memory
from sewcli.acoustic.model import Segment, Underway
from sewcli.acoustic.running import RunningModel
from sewcli.acoustic.statistics import wave_statistics
from sewcli.acoustic.transfers import Copied
from sewcli.chunking import ChunkPlan
from sewcli.errors import DeviceError, SewError
from sewcli.inputs.source import Source
from sewcli.pipeline.run import Options, run
from sewcli.reading.recording import Recording


class Small:
    """A model on a device whose memory takes so many rows at a time."""

    def __init__(self, model: RunningModel, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tried: list[int] = []
        start = model._begin

        def limited(segments: Sequence[Segment]) -> Underway:
            self.tried.append(len(segments))
            if len(segments) > rows:
                raise torch.OutOfMemoryError("no memory left")
            return start(segments)

        monkeypatch.setattr(model, "_begin", limited)


def test_a_batch_that_does_not_fit_runs_in_halves(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits(one_lane, batch_seconds=30.0)
    small = Small(one_lane, 2, monkeypatch)
    got = logits(one_lane, batch_seconds=30.0)
    assert max(small.tried) > 2
    # once is enough: no later batch is tried that would not fit either
    assert sum(rows > 2 for rows in small.tried) < 4
    for (path, ours), (other, theirs) in zip(got, expected, strict=True):
        assert path == other
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5)


def test_batches_grow_again_when_memory_is_free_again(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_BEFORE_MORE", 1)
    one_lane.room = budget.Room()
    segment = Segment(np.zeros(1_600, dtype=np.float32), wave_statistics(np.zeros(1_600)))
    with monkeypatch.context() as patched:
        small = Small(one_lane, 2, patched)
        one_lane([segment] * 8)
        assert small.tried == [8, 4, 2, 2, 2, 2]
    small = Small(one_lane, 8, monkeypatch)
    for _ in range(7):
        one_lane([segment] * 8)
    assert small.tried[0] == 4  # the four halves had room
    assert small.tried[-1] == 8


def test_what_did_not_fit_is_tried_again_ever_more_seldom() -> None:
    room, fits, tried = budget.Room(), 4, []
    for _ in range(2_000):
        seconds = min(16, room.seconds)
        tried.append(seconds)
        if seconds > fits:
            room.overflowed(seconds)
        else:
            room.fitted(seconds)
    gaps = np.diff([0, *(number for number, seconds in enumerate(tried) if seconds > fits)])
    assert gaps.tolist() == [0, 1, 129, 257, 513, 1_025]
    # a batch of few short clips says nothing
    limit = room.seconds
    for _ in range(10_000):
        room.fitted(limit / 2)
    assert room.seconds == limit


def test_beside_a_card_what_comes_before_the_piece_that_does_not_fit_is_handed_on_too(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The long one is put together with the first, and those between them have not begun."""
    clips = []
    for number, seconds in enumerate((6.0, 1.0, 1.2, 6.5, 1.1)):
        write_babble(tmp_path / f"{number}.wav", seconds, seed=number)
        clips.append(Source(f"{number}.wav", tmp_path / f"{number}.wav"))
    short_of_memory(
        one_lane, monkeypatch, lambda segments: max(one.samples.size for one in segments) > 6.3 * 16_000
    )
    monkeypatch.setattr(one_lane, "device", "cuda:0")
    options = Options(ChunkPlan.from_seconds(20.0, 1.0), batch_seconds=20.0, read_workers=0)
    results = run(clips, one_lane, Logits, options)
    done = [next(results)[0] for _ in range(3)]
    with pytest.raises(DeviceError, match=r"one piece of 6\.5 s"):
        next(results)
    assert done == ["0.wav", "1.wav", "2.wav"]


def test_one_piece_that_does_not_fit_ends_the_run(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    Small(one_lane, 0, monkeypatch)
    with pytest.raises(DeviceError, match=r"one piece of \d\.\d s"):
        logits(one_lane, batch_seconds=30.0)


def test_pieces_before_the_one_that_does_not_fit_are_handed_on(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch whose halves are run apart the first half is done."""
    most = max(map(wav_samples, CLIPS[:2]))
    short_of_memory(
        one_lane, monkeypatch, lambda segments: len(segments) > 1 or segments[0].samples.size == most
    )
    ordered = sorted(CLIPS[:2], key=wav_samples)
    plan = ChunkPlan.from_seconds(60.0, 0.2)
    results = run(ordered, one_lane, Logits, Options(plan, batch_seconds=60.0))
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
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_segments: Sequence[Segment]) -> Underway:
        raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED\nmore about it")

    monkeypatch.setattr(one_lane, "_begin", fail)
    with pytest.raises(DeviceError, match=r"one piece of .* s: cuDNN error: [A-Z_]+ \(use"):
        logits(one_lane, batch_seconds=0.0)


def test_the_error_for_one_piece_that_does_not_fit_keeps_nothing_of_it(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For whoever tries something else then, in Python."""
    alive = []

    def fail(_segments: Sequence[Segment]) -> Underway:
        hidden = torch.zeros(3)
        alive.append(weakref.ref(hidden))
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(one_lane, "_begin", fail)
    samples = np.zeros(16_000, np.float32)
    with pytest.raises(DeviceError) as caught:
        one_lane([Segment(samples, wave_statistics(samples))])
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
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch, even_asked: bool
) -> None:
    monkeypatch.setattr(FastModel, "lanes", 1)
    there, sent = one_lane._transfers.to_host, []

    def to_host(tensor: torch.Tensor) -> Copied:
        sent.append(tensor)
        return there(tensor) if len(sent) == 1 else Lost(even_asked=even_asked)

    monkeypatch.setattr(one_lane._transfers, "to_host", to_host)
    results = run(CLIPS, one_lane, Logits, Options(PLAN, batch_seconds=7.0))
    assert next(results)[0] == CLIPS[0].path
    with pytest.raises(DeviceError, match=r"^cpu failed: CUDA error: unspecified launch failure \(run again"):
        next(results)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: no kernel image is available\nFor debugging ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
    ids=lambda error: str(error)[:30],
)
def test_a_kernel_that_fails_ends_the_run_in_one_line(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_segments: Sequence[Segment]) -> Underway:
        raise error

    monkeypatch.setattr(one_lane, "_begin", fail)
    with pytest.raises(DeviceError, match=r"^cpu failed: \S+ error: .* \(run again"):
        logits(one_lane, batch_seconds=0.0)


def test_a_result_that_cannot_be_made_is_tried_once_and_nothing_runs_again(
    one_lane: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the file of a picture cannot be written."""
    start, begun, made = one_lane._begin, [], []

    def counted(segments: Sequence[Segment]) -> Underway:
        begun.append(len(segments))
        return start(segments)

    class Refusing(Logits):
        def result(self, recording: Recording) -> tuple[str, np.ndarray]:
            made.append(recording.source.path)
            raise SewError("no room for a picture")

    monkeypatch.setattr(one_lane, "_begin", counted)
    monkeypatch.setattr(one_lane, "device", "cuda:0")
    with pytest.raises(SewError, match="no room for a picture"):
        list(run(CLIPS, one_lane, Refusing, Options(PLAN, batch_seconds=7.0, read_workers=0)))
    assert made == [CLIPS[0].path]
    # what remains is not run chunk by chunk
    assert sum(begun) < sum(1 for clip in CLIPS for _ in PLAN.chunks(wav_samples(clip)))

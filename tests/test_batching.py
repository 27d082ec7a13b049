"""Batches under way beside the host, halves of those that do not fit: the way of a GPU, run on the CPU."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from helpers import Logits, tiny_model, until_error
from torch.utils._python_dispatch import TorchDispatchMode

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.checkpoint import inspect
from sewcli.acoustic.lanes import lane_count
from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment, Starting, Underway
from sewcli.acoustic.running import RunningModel, is_out_of_memory
from sewcli.acoustic.statistics import wave_statistics
from sewcli.acoustic.transfers import Copied, Transfers
from sewcli.chunking import ChunkPlan
from sewcli.engine.config import read_config
from sewcli.engine.fast import FastModel
from sewcli.errors import DeviceError, ModelError
from sewcli.hub.fetching import fetch
from sewcli.inputs.sources import Source
from sewcli.pipeline.run import Options, run
from sewcli.registry import resolve
from sewcli.results import Failure

FOLDER = Path(__file__).parent.parent / "examples" / "speech"
CLIPS = [Source(str(clip), clip) for clip in sorted(FOLDER.iterdir())] * 2
PLAN = ChunkPlan.from_seconds(2.0, 0.2)


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


def logits(model: Any, **options: Any) -> list[Any]:
    return list(run(CLIPS, model, Logits, Options(PLAN, **options)))


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


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_batches_side_by_side_give_what_they_give_in_turn(loaded: RunningModel, seconds: float) -> None:
    """In the order of the inputs, on a part of the threads each, which torch keeps for all others."""
    loaded.most_seconds = math.inf
    torch.set_num_threads(1)
    expected = logits(loaded, batch_seconds=seconds)
    torch.set_num_threads(2)
    assert loaded.lanes == 2
    seen: set[tuple[str, int]] = set()
    forward = loaded.forward

    def watched(batch: Batch) -> torch.Tensor:
        seen.add((threading.current_thread().name.rpartition("_")[0], torch.get_num_threads()))
        return forward(batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loaded, "forward", watched)
        got = logits(loaded, batch_seconds=seconds)
        assert seen == {("sew-lane", 1)}
        seen.clear()
        assert len(list(run(CLIPS[1:2], loaded, Logits, Options(ChunkPlan.from_seconds(20.0, 1.0))))) == 1
        assert seen == {("", 2)}, "a chunk alone has all threads"
    assert torch.get_num_threads() == 2
    for (path, ours), (other, theirs) in zip(got, expected, strict=True):
        assert path == other
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.fixture
def in_lanes(
    loaded: RunningModel, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> Callable[..., tuple[list[str], Exception | None]]:
    """Run the clips in two lanes, with an error for some of them."""
    torch.set_num_threads(2)
    start = loaded._start

    def with_error(numbers: Sequence[int], error: Exception, *, only_beside: bool = False) -> Any:
        sizes = {wav_samples(CLIPS[number]) for number in numbers}

        def failing(segments: Sequence[Segment]) -> Underway:
            beside = threading.current_thread().name.startswith("sew-lane")
            if segments[0].samples.size in sizes and (beside or not only_beside):
                raise error
            return start(segments)

        monkeypatch.setattr(loaded, "_start", failing)
        return until_error(run(CLIPS, loaded, Logits, Options(ChunkPlan.from_seconds(20.0, 1.0))))

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


def test_a_chunk_that_fits_alone_is_run_alone(in_lanes: Any) -> None:
    """Beside others there was too little memory."""
    found, raised = in_lanes([1, 4], torch.OutOfMemoryError("no memory left"), only_beside=True)
    assert raised is None
    assert found == [source.path for source in CLIPS]


@pytest.mark.parametrize(
    ("threads", "lanes"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (8, 4), (14, 2), (16, 4)]
)
def test_lanes_leave_no_thread_over(monkeypatch: pytest.MonkeyPatch, threads: int, lanes: int) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert lane_count() == lanes


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


def wav_samples(source: Source) -> int:
    return soundfile.info(source.file).frames


class Reserved(Transfers):
    """Hands out memory as a card wants it, and notes for what."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.made: list[torch.dtype] = []

    def empty(self, shape: tuple[int, ...], /, *, dtype: torch.dtype) -> torch.Tensor:
        self.made.append(dtype)
        return super().empty(shape, dtype=dtype).fill_(77)


def test_all_of_a_batch_lies_in_the_memory_that_the_device_copies_from(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples, frames and two moments, whatever was there before."""
    expected = logits(nano, batch_seconds=5.0)
    reserved = Reserved()
    monkeypatch.setattr(nano, "_transfers", reserved)
    for (_, ours), (_, theirs) in zip(logits(nano, batch_seconds=5.0), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert reserved.made[:4] == [torch.float32, torch.int64, torch.float32, torch.float32]


@pytest.mark.parametrize(
    "told",
    [
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
        "CUDA error: out of memory\nCUDA kernel errors might be reported at some other call",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_want_of_memory_is_told_by_what_torch_says(told: str) -> None:
    assert is_out_of_memory(RuntimeError(told))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


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


class _Copies(TorchDispatchMode):
    """Notes each copy from the host to a device: whether it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].device.type == "cpu" != result.device.type:
            self.waited.append(not (kwargs or {}).get("non_blocking", False))
        return result


@pytest.mark.parametrize("family", ["sew", "sew-d"])
def test_a_forward_pass_neither_waits_for_a_device_nor_reads_from_it(tmp_path: Path, family: str) -> None:
    """On the device "meta", which has no values to read; waiting for a copy is waiting for the last batch."""
    checkpoint = inspect(tiny_model(tmp_path, family, "classification"), "classification")
    device = torch.device("meta")
    model = FastModel(checkpoint, read_config(checkpoint), device, torch.float32)
    rows = [np.ones(size, np.float32) for size in (16_000, 9_000)]
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    with torch.no_grad(), _Copies() as copies:
        logits = model.forward(batch.to(device, non_blocking=True))
    assert logits.shape == (2, len(model.labels))
    assert len(copies.waited) >= 4
    assert not any(copies.waited)


def test_copies_to_other_devices_than_cuda_are_waited_for() -> None:
    """A copy to MPS that is not would read what has been given back (pytorch issue 189690)."""
    row = np.ones(16_000, np.float32)
    batch = make_batch([row], [wave_statistics(row)], normalize=True)
    with torch.no_grad(), _Copies() as copies:
        Transfers(torch.device("meta")).to_device(batch, torch.bfloat16)
    assert copies.waited == [True] * 4


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

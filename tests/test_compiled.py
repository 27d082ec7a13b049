"""The attention of SEW-D through torch.compile, on the CPU as a GPU would run it."""

from __future__ import annotations

import gc
import logging
import queue
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_model

from sewcli.acoustic.engine import fast, operators
from sewcli.acoustic.engine.compiled import Compiled
from sewcli.acoustic.engine.disentangled import disentangled_attention
from sewcli.acoustic.engine.operators import PublicOperators
from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.running import RunningModel
from sewcli.acoustic.statistics import wave_statistics
from sewcli.hub.fetching import LocalModel
from sewcli.models_toml import ModelSpec

#: samples of the rows of each batch: one row and several, full and padded, of one pair of frames too
BATCHES = (
    [16_000, 9_000, 720],
    [32_000],
    [24_000, 24_000],
    [5_000, 1_234, 40_000, 16_123],
    [20_560],  # 64 frames, the width of a batch on a card
    [20_560, 20_560],
    [320_080],
    [720],
)


def load(directory: Path, device: str = "cpu", *, compiled: bool = False) -> RunningModel:
    local = LocalModel(ModelSpec(path=directory), directory, None)
    return load_model(local, "ctc", engine="fast", device=device, compiled=compiled)


def batches() -> list[list[Segment]]:
    generator = np.random.default_rng(0)
    rows = [[generator.standard_normal(size).astype(np.float32) for size in sizes] for sizes in BATCHES]
    return [[Segment(row, wave_statistics(row)) for row in batch] for batch in rows]


def test_compiled_attention_gives_the_logits_of_the_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captured by dynamo as one graph for all sizes; its code generator takes half a minute here."""
    directory = tiny_model(tmp_path, "sew-d", "ctc")
    monkeypatch.setattr(fast, "find_operators", lambda *_, **_options: PublicOperators())
    plain = load(directory)
    traced: list[Compiled[...]] = []
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _inputs: object) -> object:
        graphs.append(graph)
        return graph.forward

    def compiled(function):
        traced.append(Compiled(function, backend=backend))
        return traced[-1]

    monkeypatch.setattr(operators, "Compiled", compiled)
    monkeypatch.setattr(fast, "find_operators", lambda *_, **_options: PublicOperators(compiled=True))
    model = load(directory)
    for segments in batches():
        for ours, theirs in zip(model(segments), plain(segments), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, np.abs(theirs).max(initial=0.0)))
    assert len(traced) == 1  # one for all layers
    assert traced[0].is_compiled
    assert len(graphs) <= 2  # of one row and of several; torch gives up behind the eighth


def test_sizes_that_are_equal_by_chance_do_not_bind_the_next_batch() -> None:
    """As many rows as heads, as many states as a head has values: one graph for these and for all others."""
    graphs = []

    def backend(graph: torch.fx.GraphModule, _inputs: object) -> object:
        graphs.append(graph)
        return graph.forward

    compiled = Compiled(disentangled_attention, backend=backend)
    heads, size, span = 4, 16, 32
    embedded = torch.randn(2, heads, 2 * span, size)
    for rows, count in ((heads, size), (heads, heads), (size, size), (7, 9), (2, 2 * span)):
        parts = torch.randn(3, rows, heads, count, size)
        positions = torch.arange(2 * count - 1) % (2 * span)
        given = (*parts, *embedded, positions, None)
        np.testing.assert_allclose(compiled(*given), disentangled_attention(*given), atol=1e-5)
    assert len(graphs) == 1


@pytest.mark.card
def test_a_gpu_compiles_it_and_gives_the_logits_of_the_cpu(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tiny_model(tmp_path, "sew-d", "ctc")
    with caplog.at_level(logging.WARNING, "sewcli"):
        on_gpu, on_cpu = load(directory, "cuda", compiled=True), load(directory)
        for segments in batches():
            for ours, theirs in zip(on_gpu(segments), on_cpu(segments), strict=True):
                scale = max(1.0, np.abs(theirs).max(initial=0.0))
                np.testing.assert_allclose(ours, theirs, atol=1e-4 * scale)
    assert caplog.text == ""  # neither without effect nor given up


def test_what_cannot_be_compiled_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def double(values: torch.Tensor) -> torch.Tensor:
        return values * 2

    def broken(*_: object) -> None:
        raise RuntimeError("no compiler on this machine\nand more about it")

    compiled = Compiled(double, backend=broken)
    with caplog.at_level(logging.WARNING, "sewcli"):
        for _ in range(2):
            assert compiled(torch.ones(2)).tolist() == [2.0, 2.0]
    assert not compiled.is_compiled
    assert len(caplog.records) == 1
    assert "double runs without torch.compile" in caplog.text
    assert "no compiler on this machine" in caplog.text


def test_tensors_of_a_batch_that_did_not_fit_are_given_back_at_once() -> None:
    def backend(_graph: object, _inputs: object) -> object:
        def run(*_: object) -> None:
            raise torch.OutOfMemoryError("no memory left")

        return run

    compiled = Compiled(lambda values: values * 2, backend=backend)

    def begin() -> weakref.ref[torch.Tensor]:
        batch = torch.ones(2)
        with pytest.raises(torch.OutOfMemoryError):
            compiled(batch)
        return weakref.ref(batch)

    begin()  # the first call compiles
    gc.collect()
    gc.disable()
    try:
        assert begin()() is None
    finally:
        gc.enable()


def test_out_of_memory_is_no_failure_of_the_compiler() -> None:
    def hungry(values: torch.Tensor) -> torch.Tensor:
        return values * 2

    def backend(_graph: object, _inputs: object) -> object:
        def run(*_: object) -> None:
            raise torch.OutOfMemoryError("no memory left")

        return run

    compiled = Compiled(hungry, backend=backend)
    with pytest.raises(torch.OutOfMemoryError):
        compiled(torch.ones(2))
    assert compiled.is_compiled


def test_two_threads_may_find_that_it_cannot_be_compiled() -> None:
    """The second fails after the first has gone over to the plain function."""
    meet = threading.Barrier(2, timeout=60)
    given_up = threading.Event()

    def double(values: torch.Tensor) -> torch.Tensor:
        return values * 2

    compiled = Compiled(double)

    def broken(_values: torch.Tensor) -> torch.Tensor:
        if meet.wait():
            given_up.wait(60)
        raise RuntimeError("no compiler on this machine")

    compiled._function = broken
    results: queue.SimpleQueue[list[float]] = queue.SimpleQueue()

    def call() -> None:
        results.put(compiled(torch.ones(1)).tolist())
        given_up.set()

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [results.get_nowait() for _ in threads] == [[2.0], [2.0]]


@pytest.mark.parametrize("family", ["sew", "sew-d"])
def test_compiling_has_no_effect_on_a_cpu_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, family: str
) -> None:
    directory = tiny_model(tmp_path, family, "ctc")
    with caplog.at_level(logging.WARNING, "sewcli"):
        load_model(LocalModel(ModelSpec(path=directory), directory, None), "ctc", device="cpu", compiled=True)
    assert "--compile has no effect" in caplog.text

"""How much audio a GPU gets at once: planned from its free memory, held against what a batch takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_model
from torch.profiler import ProfilerActivity, profile

from sewcli.acoustic.budget import MOST_SECONDS, affordable_seconds, bytes_per_second, device_seconds
from sewcli.acoustic.engine import fast
from sewcli.acoustic.engine.operators import PublicOperators
from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.hub.fetching import LocalModel
from sewcli.models_toml import ModelSpec


def peak_bytes(run: profile) -> int:
    """The most that was allocated at one time while a profile was taken."""
    assert run.profiler is not None
    events = [event for event in run.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    return int(held.max())


@pytest.mark.parametrize("family", ["sew", "sew-d"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_batch_takes_no_more_than_was_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, dtype: str
) -> None:
    way_of_a_gpu = PublicOperators(gathers=False)
    monkeypatch.setattr(fast, "find_operators", lambda *_, **_options: way_of_a_gpu)
    directory = tiny_model(tmp_path, family, "ctc")
    model = load_model(
        LocalModel(ModelSpec(path=directory), directory, None), "ctc", dtype=dtype, engine="fast"
    )
    samples = np.random.default_rng(0).standard_normal(10 * 16_000).astype(np.float32)
    segments = [Segment(samples, wave_statistics(samples))] * 4
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
        model(segments)
    planned = 40 * bytes_per_second(model.checkpoint.config)
    assert planned / 8 < peak_bytes(run) < planned


def test_seconds_grow_with_what_is_free_between_bounds() -> None:
    config = {"conv_dim": [64, 128], "conv_stride": [5, 2]}
    sizes = [affordable_seconds(free, config) for free in (0, 10**9, 2 * 10**9, 10**12)]
    assert sizes[0] == 20
    assert sizes[2] == pytest.approx(2 * sizes[1])
    assert sizes[3] == MOST_SECONDS


def test_a_cpu_takes_chunks_one_by_one() -> None:
    assert device_seconds("cpu", {}) == 0.0


@pytest.mark.card
def test_a_card_takes_what_its_memory_affords() -> None:
    config = {"conv_dim": [64], "conv_stride": [5]}
    assert 20 <= device_seconds("cuda", config) <= MOST_SECONDS

"""What a device copies from, and that nothing on the way of a batch waits for it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from example_runs import logits
from helpers import tiny_model
from torch.utils._python_dispatch import TorchDispatchMode

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.checkpoint import inspect
from sewcli.acoustic.engine.config import engine_config
from sewcli.acoustic.engine.fast import FastModel
from sewcli.acoustic.load import load_model
from sewcli.acoustic.statistics import wave_statistics
from sewcli.acoustic.transfers import CudaTransfers, Transfers
from sewcli.hub.fetching import fetch
from sewcli.registry import resolve


class Reserved(Transfers):
    """Hands out memory as a card wants it, and notes for what."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.made: list[torch.dtype] = []

    def empty(self, shape: tuple[int, ...], /, *, dtype: torch.dtype) -> torch.Tensor:
        self.made.append(dtype)
        return super().empty(shape, dtype=dtype).fill_(77)


def test_all_of_a_batch_lies_in_the_memory_that_the_device_copies_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Samples, frames and two moments, whatever was there before."""
    nano = load_model(fetch(resolve("nano")), "ctc", device="cpu")
    monkeypatch.setattr(FastModel, "lanes", 1)
    expected = logits(nano, batch_seconds=5.0)
    reserved = Reserved()
    monkeypatch.setattr(nano, "_transfers", reserved)
    for (_, ours), (_, theirs) in zip(logits(nano, batch_seconds=5.0), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert reserved.made[:4] == [torch.float32, torch.int64, torch.float64, torch.float64]


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
    model = FastModel(checkpoint, engine_config(checkpoint), device, torch.float32)
    rows = [np.ones(size, np.float32) for size in (16_000, 9_000)]
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    with torch.no_grad(), _Copies() as copies:
        logits = model.forward(batch.to(device, non_blocking=True))
    assert logits.shape == (2, len(model.labels))
    assert len(copies.waited) >= 4
    assert not any(copies.waited)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has pinned memory")
def test_where_no_memory_can_be_pinned_any_other_does(caplog: pytest.LogCaptureFixture) -> None:
    transfers = CudaTransfers.__new__(CudaTransfers)  # a stream there is on a card alone
    transfers._pinned = True
    with caplog.at_level(logging.WARNING, "sewcli"):
        for _ in range(2):
            assert transfers.empty((2, 3), dtype=torch.float32).shape == (2, 3)
    [record] = caplog.records
    assert "no pinned memory" in record.getMessage()


def test_copies_to_other_devices_than_cuda_are_waited_for() -> None:
    """A copy to MPS that is not would read what has been given back (pytorch issue 189690)."""
    row = np.ones(16_000, np.float32)
    batch = make_batch([row], [wave_statistics(row)], normalize=True)
    with torch.no_grad(), _Copies() as copies:
        Transfers(torch.device("meta")).to_device(batch, torch.bfloat16)
    assert copies.waited == [True] * 4

"""What is settled for cards, as far as it shows without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import HEADS
from networks import random_model, saved, utterance
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.checkpoint import inspect
from sewcli.acoustic.engine.config import engine_config
from sewcli.acoustic.engine.heads import ClassificationHead, CtcHead, NoHead
from sewcli.acoustic.engine.layers import Lengths
from sewcli.acoustic.engine.operators import PublicOperators
from sewcli.acoustic.engine.sew import Sew
from sewcli.acoustic.engine.sew_d import SewD
from sewcli.acoustic.engine.weights import Weights
from sewcli.acoustic.statistics import wave_statistics
from sewcli.acoustic.transfers import pinned

_SETTLED = """
import json, os, sys, torch
from sewcli.acoustic.cuda import settle_cuda
for before in json.loads(sys.argv[1]):
    if os.fork():  # each starts from what torch has by default
        os.wait()
        continue
    exec(before)
    settle_cuda()
    print(json.dumps([
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision,
    ]), flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_float32_is_float32_whatever_a_program_has_said_before() -> None:
    """In each of torch's ways to ask for it, none of which raises."""
    said = [
        "",
        "torch.set_float32_matmul_precision('high')",
        "torch.backends.fp32_precision = 'tf32'",
        "torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True",
        "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    ]
    done = subprocess.run(
        [sys.executable, "-c", _SETTLED, json.dumps(said)], capture_output=True, text=True, check=True
    )
    settled = ["highest", False, False, "ieee", "ieee"]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [settled] * len(said)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has pinned memory")
def test_a_tensor_stays_where_it_is_without_pinned_memory() -> None:
    tensor = torch.arange(3)
    assert pinned(tensor) is tensor


class TestLengths:
    def of(self, *frames: int, same_form: bool = False, least: int = 2) -> Lengths:
        rows = [np.ones(80 + 320 * count, np.float32) for count in frames]
        statistics = [wave_statistics(row) for row in rows]
        batch = make_batch(rows, statistics, normalize=True, least_frames=least)
        return Lengths.of(batch, torch.bfloat16, PublicOperators(), same_form=same_form)

    def test_rows_of_one_length_need_no_mask(self) -> None:
        """Not for an odd last frame either, for which a batch is a state wider."""
        for frames, width in ((48, 24), (49, 24)):
            lengths = self.of(frames, frames)
            assert (lengths.rows, lengths.width, lengths.mask) == ([width, width], width, None)

    def test_the_mask_ends_with_the_longest_row_and_needs_no_copy(self) -> None:
        lengths = self.of(49, 31)
        assert (lengths.rows, lengths.width) == ([24, 15], 24)
        assert lengths.mask is not None
        assert (lengths.mask.shape, lengths.mask.dtype) == ((2, 1, 1, 24), torch.bfloat16)
        assert (lengths.mask[:, 0, 0] == 0).sum(1).tolist() == [24, 15]
        narrow = self.of(21, 7).mask
        assert narrow is not None
        assert (narrow.shape[-1], narrow.stride(0)) == (10, 16)

    def test_one_that_is_asked_for_is_made_for_all_states(self) -> None:
        lengths = self.of(40, 40, same_form=True, least=48)
        assert lengths.width == 24
        assert lengths.mask is not None
        assert (lengths.mask[:, 0, 0] == 0).sum(1).tolist() == [20, 20]


class _OneDevice(TorchDispatchMode):
    """Refuses operators whose tensors lie on several devices, as a card does but for single numbers."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        arguments = args, kwargs or {}
        tensors = [one for one in tree_leaves(arguments) if isinstance(one, torch.Tensor) and one.dim()]
        assert len({tensor.device for tensor in tensors}) < 2, func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("task", ["ctc", "classification", "features"])
@pytest.mark.parametrize("family", ["SEW", "SEWD"])
def test_a_forward_pass_stays_on_its_device_and_waits_for_no_number(family, task, dtype, tmp_path):
    """On the device "meta", whose tensors hold nothing: to look at one, as at one of a card, would raise."""
    checkpoint = inspect(saved(random_model(family, HEADS[task]), tmp_path).directory, task)
    config, operators = engine_config(checkpoint), PublicOperators(gathers=False)
    device = torch.device("meta")
    weights = Weights(checkpoint, device, dtype)
    encoder = (Sew if family == "SEW" else SewD)(config, weights, operators)
    head = {
        "ctc": lambda: CtcHead(config, weights),
        "classification": lambda: ClassificationHead(config, weights, operators, 5),
        "features": NoHead,
    }[task]()
    # one and several rows, and more states than are taken by distance
    for lengths in ([16_000], [16_000, 9_000, 720], [480_000, 400_000]):
        rows = [utterance(samples) for samples in lengths]
        batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True).to(device)
        with torch.inference_mode(), _OneDevice():
            found = head(encoder(batch), batch)
        assert found.device == device
        assert found.dtype == (dtype if task == "features" else torch.float32)
        assert found.shape[0] == len(rows)

"""What is settled for cards, as far as it shows without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.cuda import pinned
from sewcli.acoustic.engine.layers import Lengths
from sewcli.acoustic.engine.operators import PublicOperators
from sewcli.acoustic.statistics import wave_statistics

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

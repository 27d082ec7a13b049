"""Widths of batches on a CPU: few, because oneDNN keeps what it compiles for each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import babble, tiny_model

from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.engine.grid import GRID, on_grid
from sewcli.engine.operators import find_operators
from sewcli.hub.fetching import LocalModel
from sewcli.registry import ModelSpec


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, GRID), (GRID, GRID), (GRID + 1, 2 * GRID)])
def test_on_grid(count, expected):
    assert on_grid(count) == expected


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["sew", "sew-d"])
def test_clips_of_many_lengths_need_few_sizes_of_products(family, dtype, tmp_path, monkeypatch):
    operators = find_operators(torch.device("cpu"), getattr(torch, dtype))
    if not operators.by_matrix:
        pytest.skip("torch has no operators of oneDNN for this dtype")
    sizes = set()

    def linear(values, weight, *others, **options):
        sizes.add((values.shape[:-1], weight.shape))
        return multiply(values, weight, *others, **options)

    multiply = operators.linear
    monkeypatch.setattr(operators, "linear", linear)
    directory = tiny_model(tmp_path / "model", family, "ctc")
    network = load_model(LocalModel(ModelSpec(path=directory), directory, None), "ctc", dtype=dtype)
    known = []
    for seconds in np.arange(0.1, 3.01, 0.05):
        clip = babble(seconds)
        network([Segment(clip, wave_statistics(clip))])
        known.append(len(sizes))
    products = known[0]
    # a width for every 0.32 s, of which the convolutions know those of one tile
    assert known[-1] <= 10 * products
    assert len(set(known)) <= 11

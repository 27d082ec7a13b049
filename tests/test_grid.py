"""Widths of batches on a CPU: few, because oneDNN keeps what it compiles for each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import babble, tiny_model

from sewcli.acoustic.engine.attention import Products, multiply_together
from sewcli.acoustic.engine.grid import compiled_for, on_grid, states_on_grid
from sewcli.acoustic.engine.operators import find_operators
from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.hub.fetching import LocalModel
from sewcli.registry import ModelSpec


@pytest.mark.parametrize(
    ("count", "expected"), [(0, 0), (1, 4), (49, 52), (64, 64), (65, 72), (128, 128), (129, 144)]
)
def test_steps_grow_with_the_length(count, expected):
    assert on_grid(count) == expected
    assert states_on_grid(-(-count // 2)) == expected // 2


def test_rows_of_the_bias_on_a_card_are_whole_groups_of_eight_states():
    assert [compiled_for(frames) for frames in (0, 1, 16, 17, 1000)] == [0, 16, 16, 32, 1008]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["sew", "sew-d"])
def test_many_a_length_brings_no_new_size_of_products(family, dtype, tmp_path, monkeypatch):
    operators = find_operators(torch.device("cpu"), getattr(torch, dtype))
    if not operators.by_matrix:
        pytest.skip("torch has no operators of oneDNN for this dtype")
    sizes = set()

    def linear(values, weight, *others, **options):
        sizes.add((values.shape[:-1], weight.shape))
        return multiply(values, weight, *others, **options)

    def together(left, right, bias):
        sizes.add((left.shape, right.shape))
        return multiply_together(left, right, bias)

    multiply = operators.linear
    monkeypatch.setattr(operators, "linear", linear)
    monkeypatch.setattr(operators, "fused_attention", False)
    monkeypatch.setattr(operators, "fused_with_bias", False)
    bfloat16 = Products(together, by_size=True)
    products = bfloat16 if dtype == "bfloat16" else operators.head_products
    monkeypatch.setattr(operators, "products", lambda _count: products)
    directory = tiny_model(tmp_path / "model", family, "ctc")
    network = load_model(LocalModel(ModelSpec(path=directory), directory, None), "ctc", dtype=dtype)
    new, lengths = 0, np.arange(0.1, 3.01, 0.05)
    for seconds in lengths:
        before, clip = len(sizes), babble(seconds)
        network([Segment(clip, wave_statistics(clip))])
        new += len(sizes) > before
    assert 0 < new <= 2 * len(lengths) // 3

"""Attention by products against torch's fused function, and through whole networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import babble, tiny_model
from torch.nn import functional as F

from sewcli.acoustic.engine import sew
from sewcli.acoustic.engine.attention import Products
from sewcli.acoustic.engine.operators import OneDnnOperators, find_operators
from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.hub.fetching import LocalModel
from sewcli.registry import ModelSpec


@pytest.fixture(params=["together", "by head"])
def products(request):
    """Each way to take the products."""
    if request.param == "together":
        return Products()
    operators = find_operators(torch.device("cpu"), torch.float32)
    if not isinstance(operators, OneDnnOperators):
        pytest.skip("torch has no operators of oneDNN")
    return operators.head_products


@pytest.mark.parametrize("count", [1, 7, 150])
@pytest.mark.parametrize("biased", [False, True])
def test_products_give_what_the_fused_function_gives(products, count, biased):
    generator = torch.Generator().manual_seed(count)
    queries, keys, values = torch.randn(3, 4, count, 16, generator=generator)
    bias = torch.randn(4, count, count, generator=generator) if biased else None
    expected = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
    torch.testing.assert_close(products.attend(queries, keys, values, count, bias), expected)


@pytest.mark.parametrize("biased", [False, True])
def test_keys_past_the_end_of_a_row_have_no_part(products, biased):
    queries, keys, values = torch.randn(3, 4, 12, 16)
    bias = torch.randn(4, 12, 12) if biased else None
    shorter = bias[:, :9, :9].clone() if bias is not None else None
    found = products.attend(queries, keys, values, 9, bias)[:, :9]
    expected = products.attend(queries[:, :9], keys[:, :9], values[:, :9], 9, shorter)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("length", "width", "expected"), [(0, 8, 0), (1, 8, 2), (8, 8, 8), (33, 64, 36), (33, 34, 34)]
)
def test_products_that_are_compiled_come_in_few_sizes(length, width, expected):
    assert Products(by_size=True).padded(length, width) == expected
    assert Products().padded(length, width) == length


def test_a_row_without_states_has_no_context():
    nothing = torch.zeros(4, 0, 16)
    assert Products().attend(nothing, nothing, nothing, 0).shape == (4, 0, 16)


@pytest.mark.parametrize(("count", "scores"), [(0, 100), (3, 100), (1000, 100)])
def test_groups_have_every_head_once(count, scores):
    heads = list(range(7))
    groups = list(Products().groups(7, count, scores))
    assert [head for group in groups for head in heads[group]] == heads
    together = torch.get_num_threads() * max(1, scores // max(1, count**2))
    assert len(heads[groups[0]]) == min(7, together)
    alone = Products(by_head=True).groups(7, count, scores)
    assert [heads[group] for group in alone] == [[head] for head in heads]


@pytest.mark.parametrize("family", ["sew", "sew-d"])
@pytest.mark.parametrize("seconds", [0.05, 3.0])
def test_both_ways_agree_in_bfloat16(family, seconds, tmp_path, monkeypatch):
    """To what its rounding leaves; in float32 the parity tests hold both to transformers."""
    directory = tiny_model(tmp_path / "model", family, "ctc")
    samples = babble(seconds)
    segments = [Segment(row, wave_statistics(row)) for row in (samples, samples[:800])]
    results = []
    operators = find_operators(torch.device("cpu"), torch.bfloat16)
    if not operators.by_matrix:
        pytest.skip("without the operators of oneDNN there is one way")
    for fused in (True, False):
        monkeypatch.setattr(operators, "fused_attention", fused)
        monkeypatch.setattr(operators, "fused_with_bias", fused)
        local = LocalModel(ModelSpec(path=directory), directory, None)
        results.append(load_model(local, "ctc", dtype="bfloat16")(segments))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=0.03 * np.abs(one).max())


def test_of_the_longest_rows_no_scores_are_kept(tmp_path, monkeypatch):
    directory = tiny_model(tmp_path / "model", "sew", "ctc")
    operators = find_operators(torch.device("cpu"), torch.float32)
    if not operators.by_matrix:
        pytest.skip("without the operators of oneDNN there is one way")
    monkeypatch.setattr(operators, "fused_attention", False)
    lengths = []

    class Counted(Products):
        def attend(self, queries, keys, values, length, bias=None):
            lengths.append(length)
            return super().attend(queries, keys, values, length, bias)

    monkeypatch.setattr(operators, "products", lambda _count: Counted())
    monkeypatch.setattr(sew, "_LONGEST", 40)
    network = load_model(LocalModel(ModelSpec(path=directory), directory, None), "ctc")
    for seconds in (1.0, 2.0):
        clip = babble(seconds)
        network([Segment(clip, wave_statistics(clip))])
    assert set(lengths) == {24}

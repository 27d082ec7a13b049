"""The attention of SEW-D against its formula, one score after the other."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from sewcli.acoustic.engine import disentangled
from sewcli.acoustic.engine.attention import Products
from sewcli.acoustic.engine.disentangled import disentangled_attention, disentangled_attention_by_products
from sewcli.acoustic.engine.positions import relative_positions

HEADS, SIZE = 3, 4


def parts(count, buckets, dtype=torch.float32):
    """Arguments of the attention of one row."""
    random = torch.Generator().manual_seed(count)
    span = buckets
    config = SimpleNamespace(buckets=buckets, positions=4 * buckets)
    own = [torch.randn(1, HEADS, count, SIZE, generator=random).to(dtype) for _ in range(3)]
    of_positions = [torch.randn(HEADS, 2 * span, SIZE, generator=random).to(dtype) for _ in range(2)]
    known = relative_positions(count, config, torch.device("cpu"))
    return [*own, *(embeddings[:, known.reached] for embeddings in of_positions), known.rows]


@pytest.mark.parametrize("by_products", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_every_score_is_that_of_the_formula(count, by_products):
    queries, keys, values, position_queries, position_keys, positions = parts(count, 4)
    expected = torch.empty(HEADS, count, SIZE)
    for head in range(HEADS):
        for i in range(count):
            scores = []
            for j in range(count):
                row = positions[count - 1 - i + j]  # of the distance i - j
                q, k = queries[0, head, i], keys[0, head, j]
                scores.append(float(q @ k + q @ position_keys[head, row] + k @ position_queries[head, row]))
            weights = torch.tensor([math.exp(score) for score in scores])
            expected[head, i] = weights @ values[0, head] / weights.sum()
    if by_products:
        own = (part[0] for part in (queries, keys, values))
        given = (*own, position_queries, position_keys, positions, count, Products())
        found = disentangled_attention_by_products(*given)
    else:
        given = (queries, keys, values, position_queries, position_keys, positions)
        found = disentangled_attention(*given, None)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by_products", [False, True])
@pytest.mark.parametrize("count", [2, 9, 40])
@pytest.mark.parametrize("scores", [1, 70, 300])
def test_queries_in_blocks_have_the_context_of_all_at_once(monkeypatch, count, scores, by_products):
    monkeypatch.setattr(disentangled, "_MOST_SCORES", scores)
    monkeypatch.setattr(disentangled, "_LEAST_QUERIES", 1)
    queries, keys, values, *embeddings, positions = parts(count, 4)
    products = Products()

    def attended(block, own):
        if by_products:
            given = (queries[0][:, block], keys[0], values[0], *embeddings, own, count, products)
            return disentangled_attention_by_products(*given)
        return disentangled_attention(queries[:, :, block], keys, values, *embeddings, own, None)[0]

    blocks = list(disentangled.query_blocks(count, HEADS, positions))
    assert all(
        HEADS * count * (block.stop - block.start) <= max(scores, HEADS * count) for block, _ in blocks
    )
    found = torch.cat([attended(*block) for block in blocks], dim=1)
    torch.testing.assert_close(found, attended(slice(None), positions), rtol=1e-5, atol=1e-6)

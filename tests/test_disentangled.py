"""The attention of SEW-D against its formula, one score after the other."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from sewcli.acoustic.engine import disentangled
from sewcli.acoustic.engine.attention import Products
from sewcli.acoustic.engine.disentangled import (
    disentangled_attention,
    disentangled_attention_by_products,
)
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


FORMS = ["gathered", "by distance", "by products"]


def attention(form, queries, keys, values, *of_positions):
    """Of one row: (heads, M, d)."""
    if form == "by products":
        given = (queries[0], keys[0], values[0], *of_positions, keys.shape[2], Products())
        return disentangled_attention_by_products(*given)
    by_distance = form == "by distance"
    return disentangled_attention(queries, keys, values, *of_positions, None, by_distance=by_distance)[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_every_score_is_that_of_the_formula(count, form):
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
    given = (queries, keys, values, position_queries, position_keys, positions)
    found = attention(form, *given)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [2, 9, 40])
@pytest.mark.parametrize("scores", [1, 70, 300])
def test_queries_in_blocks_have_the_context_of_all_at_once(monkeypatch, count, scores, form):
    monkeypatch.setattr(disentangled, "_MOST_SCORES", scores)
    monkeypatch.setattr(disentangled, "_LEAST_QUERIES", 1)
    queries, keys, values, *embeddings, positions = parts(count, 4)

    def attended(block, own):
        return attention(form, queries[:, :, block], keys, values, *embeddings, own)

    blocks = list(disentangled.query_blocks(count, HEADS, positions))
    assert all(
        HEADS * count * (block.stop - block.start) <= max(scores, HEADS * count) for block, _ in blocks
    )
    found = torch.cat([attended(*block) for block in blocks], dim=1)
    torch.testing.assert_close(found, attended(slice(None), positions), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("count", "asked"), [(1, 1), (9, 9), (40, 17), (101, 101)])
def test_rows_and_heads_together_have_the_context_of_each(count, asked):
    """As a card has them: parts of one projection, queries of a block, a mask, and room for the scores."""
    rows, random = 3, torch.Generator().manual_seed(0)
    projected = torch.randn(rows, count, 3, HEADS, SIZE, generator=random).permute(2, 0, 3, 1, 4)
    queries, keys, values = projected[0][:, :, :asked], projected[1], projected[2]
    *_, position_queries, position_keys, positions = parts(count, 4)
    own = (position_queries, position_keys, positions[count - asked :])
    mask = torch.zeros(rows, 1, 1, count)
    mask[1, ..., count // 2 + 1 :] = -torch.inf
    room = torch.full((rows, HEADS, asked, count + 3), torch.nan)[..., :count]
    for by_distance in (False, True):
        found = disentangled_attention(queries, keys, values, *own, mask, room, by_distance=by_distance)
        for row, end in enumerate((count, count // 2 + 1, count)):
            alone = (part[row, :, :end] for part in (keys, values))
            given = (queries[row], *alone, *own[:2], own[2][: asked + end - 1], end, Products())
            expected = disentangled_attention_by_products(*given)
            torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)

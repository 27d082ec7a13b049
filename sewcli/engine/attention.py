"""Attention by products of torch, where its fused function is slower."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from sewcli.engine.grid import states_on_grid


def head_groups(heads: int, count: int, scores: int) -> Iterator[slice]:
    """Heads that are computed together.

    Args:
        heads: how many there are.
        count: states of the row, with those past its end that are computed.
        scores: how many of one group stay in the cache of a thread; each thread has a head at least.
    """
    together = torch.get_num_threads() * max(1, scores // max(1, count**2))
    for start in range(0, heads, together):
        yield slice(start, start + together)


def padded_count(length: int, states: torch.Tensor) -> int:
    """States of a row, some of which may lie past its end, that attention by products takes.

    Args:
        length: how many are its own.
        states: (..., N, d) of a batch.
    """
    # oneDNN has the products of bfloat16 and compiles them by size, MKL those of float32
    return min(states_on_grid(length), states.shape[-2]) if states.dtype == torch.bfloat16 else length


def attention_by_products(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    length: int,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """softmax(Q K' + bias) V by head: (heads, N, d).

    Args:
        queries, keys, values: (heads, N, d), the queries scaled.
        length: of the keys, those of the row itself.
        bias: (heads, N, N), which is overwritten.
    """
    keys = keys.transpose(1, 2)
    scores = torch.bmm(queries, keys) if bias is None else bias.baddbmm_(queries, keys)
    if length < scores.shape[2]:
        scores[:, :, length:] = -torch.inf
    return torch.bmm(torch.softmax(scores, dim=-1), values)

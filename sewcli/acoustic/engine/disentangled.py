"""The disentangled attention of SEW-D (DeBERTa, arXiv 2006.03654, section 3.1) in two forms: by torch's fused
function, and by products.

The score of query i and key j is Q_i K_j + Q_i PK_d + K_j PQ_d, where PK and PQ are the relative embeddings
through the projections of keys and queries, and d is the row of them that belongs to the distance i - j.

The queries are taken in reverse order: i - j is then a constant less the sum of the two indices, and the
matrix of the d is a view of a vector. Gathering through it takes the time of gathering through a matrix made
in advance (1.0 to 1.1 times as fast), which then need not be made: 8 N N bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from sewcli.acoustic.engine.attention import Products

#: scores beyond which the queries are taken in blocks, and the least of one: of a chunk of 50 min all scores
#: of one head would take 22 GB in float32. Each block takes a product with the keys anew, half of its own
_MOST_SCORES = 1 << 27
_LEAST_QUERIES = 1024


def disentangled_attention(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    position_queries: torch.Tensor,
    position_keys: torch.Tensor,
    positions: torch.Tensor,
    mask: torch.Tensor | None,
    room: torch.Tensor | None = None,
) -> torch.Tensor:
    """The attention of all rows and heads at once: (B, heads, M, d).

    Args:
        queries: (B, heads, M, d), all or some that follow each other.
        keys, values: (B, heads, N, d).
        position_queries, position_keys: relative embeddings projected, those of `Positions.reached`:
            (heads, n, d).
        positions: those of `Positions.rows` for these queries, see `query_blocks`: (M + N - 1,).
        mask: of `Lengths`; None for none.
        room: for the scores, (B, heads, M, N), which is overwritten; None allocates it.
    """
    queries = queries.flip(2)
    rows, heads, asked, _ = queries.shape
    count = keys.shape[2]
    distances, transposed = (
        view.expand(rows, heads, *view.shape) for view in _distances(positions, asked, count)
    )
    bias = torch.gather(queries @ position_keys.transpose(1, 2), 3, distances, out=room)
    from_position = torch.gather(keys @ position_queries.transpose(1, 2), 3, transposed)
    bias += _turned(from_position)
    if mask is not None:
        bias += mask
    # the product of contents, the softmax and the mean of the values by torch, which keeps no scores: 1.0 to
    # 1.2 times as fast as these one after the other
    context = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
    return context.flip(2)


def disentangled_attention_by_products(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    position_queries: torch.Tensor,
    position_keys: torch.Tensor,
    positions: torch.Tensor,
    length: int,
    products: Products,
) -> torch.Tensor:
    """The same of some heads of one row, without torch's fused function: (heads, M, d).

    On a Zen 4 the attention takes 0.85 to 0.95 of the time in float32, 0.6 to 0.9 in bfloat16.

    Args:
        queries, keys, values: (heads, M, d), and (heads, N, d).
        position_queries, position_keys, positions: as of `disentangled_attention`.
        length: of the keys, those of the row.
        products: how all products are taken.
    """
    queries = queries.flip(1)
    heads, asked, _ = queries.shape
    count = keys.shape[1]
    distances, transposed = (view.expand(heads, *view.shape) for view in _distances(positions, asked, count))
    bias = torch.gather(products.multiply(queries, position_keys, None), 2, distances)
    from_position = torch.gather(products.multiply(keys, position_queries, None), 2, transposed)
    bias += _turned(from_position)
    return products.attend(queries, keys, values, length, bias).flip(1)


def _distances(positions: torch.Tensor, asked: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which embedding belongs to each score, and the transpose of that, as views: (M, N), (N, M).

    Gathering along the rows of the transpose does the same as gathering down the columns in 0.75 of the time
    on a Zen 4; on a Xeon the network takes 0.93 to 0.98 of the time in bfloat16, 0.97 to 1.04 in float32.

    Args:
        positions: of `disentangled_attention`.
        asked: M, of the queries.
        count: N, of the keys.
    """
    return positions.as_strided((asked, count), (1, 1)), positions.as_strided((count, asked), (1, 1))


def _turned(scores: torch.Tensor) -> torch.Tensor:
    """(..., N, M) -> (..., M, N).

    Adding the view takes 0.9 of the time of attention on two threads (750 states), 1.4 in bfloat16.
    """
    turned = scores.transpose(-1, -2)
    return turned if turned.dtype == torch.float32 else turned.contiguous()


def query_blocks(count: int, heads: int, positions: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """Queries whose scores fit, and the part of `Positions.rows` that is theirs.

    Args:
        count: of queries and of keys.
        heads: of all rows, that are computed together.
        positions: `Positions.rows`.
    """
    most = max(_LEAST_QUERIES, _MOST_SCORES // max(1, heads * count))
    # of one size, or what is compiled would be so for two
    size = -(-count // -(-count // most))
    for start in range(0, count, size):
        stop = min(start + size, count)
        # the queries are reversed: the last ones come first
        own = positions[count - stop : 2 * count - 1 - start]
        # what is compiled looks at where in their memory tensors begin, too
        yield slice(start, stop), own if size == count else own.clone()

"""The disentangled attention of SEW-D (DeBERTa, arXiv 2006.03654, section 3.1) in two forms: by torch's fused
function, with the scores of positions gathered or shifted into place, and by products.

The score of query i and key j is Q_i K_j + Q_i PK_d + K_j PQ_d, where PK and PQ are the relative embeddings
through the projections of keys and queries, and d is the row of them that belongs to the distance i - j.

The queries are taken in reverse order: i - j is then a constant less the sum of the two indices, and the
matrix of the d is a view of a vector. Gathering through it takes the time of gathering through a matrix made
in advance (1.0 to 1.1 times as fast), which then need not be made: 8 N N bytes. In products with the
embeddings of every distance, in that order, the scores of each row lie one further on than those of the row
before: those of all rows are a view, and nothing is gathered.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from sewcli.acoustic.engine.attention import Multiply, Products
from sewcli.acoustic.engine.layers import ALIGNED

#: scores beyond which the queries are taken in blocks, and the least of one: of a chunk of 50 min all scores
#: of one head would take 22 GB in float32. Each block takes a product with the keys anew, half of its own
_MOST_SCORES = 1 << 27
_LEAST_QUERIES = 1024
#: states (24 s) up to which a card takes the scores of positions by distance: the products are twice those
#: with all embeddings there, and fewer up to 10 s. A CPU takes 0.9 to 1.1 of the time up to 10 s, 1.2 to 1.9
#: for 20 and 24 s
MOST_BY_DISTANCE = 600


def disentangled_attention(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    position_queries: torch.Tensor,
    position_keys: torch.Tensor,
    positions: torch.Tensor,
    mask: torch.Tensor | None,
    room: torch.Tensor | None = None,
    *,
    by_distance: bool = False,
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
        by_distance: shift the scores of positions into place instead of gathering them, for up to
            `MOST_BY_DISTANCE` states.
    """
    queries = queries.flip(2)
    of_positions = (position_queries, position_keys, positions, room)
    if by_distance:
        bias = _scores_by_distance(queries, keys, *of_positions)
    else:
        bias = _position_scores(_multiply, queries, keys, *of_positions)
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
    bias = _position_scores(products.multiply, queries, keys, position_queries, position_keys, positions)
    return products.attend(queries, keys, values, length, bias).flip(1)


def _multiply(left: torch.Tensor, right: torch.Tensor, _: torch.Tensor | None) -> torch.Tensor:
    """As `attention.Multiply`, of heads of several rows by those of all: (B, heads, M, k) by (heads, N, k).

    One product for each head: torch.matmul would copy both factors, the right one for every row.
    """
    rows, heads, count, size = left.shape
    product = left.transpose(0, 1).reshape(heads, rows * count, size) @ right.transpose(1, 2)
    return product.view(heads, rows, count, -1).transpose(0, 1)


def _position_scores(
    multiply: Multiply,
    queries: torch.Tensor,
    keys: torch.Tensor,
    position_queries: torch.Tensor,
    position_keys: torch.Tensor,
    positions: torch.Tensor,
    room: torch.Tensor | None = None,
) -> torch.Tensor:
    """Q_i PK_d + K_j PQ_d: (..., M, N).

    Gathering along the rows of the transpose of the second term does the same as gathering down its columns
    in 0.75 of the time on a Zen 4; on a Xeon the network takes 0.94 to 1.02 of the time in bfloat16, 0.97 to
    1.04 in float32.

    Args:
        multiply: how products are taken.
        queries: (..., M, d), in reverse order.
        keys: (..., N, d).
        position_queries, position_keys, positions, room: of `disentangled_attention`.
    """
    *heads, asked, _ = queries.shape
    count = keys.shape[-2]
    distances, transposed = (
        positions.as_strided(shape, (1, 1)).expand(*heads, *shape)
        for shape in ((asked, count), (count, asked))
    )
    scores = torch.gather(multiply(queries, position_keys, None), -1, distances, out=room)
    turned = torch.gather(multiply(keys, position_queries, None), -1, transposed).transpose(-1, -2)
    # adding the view takes 0.9 of the time of attention on two threads of a CPU (750 states), 1.4 in bfloat16
    scores += turned if turned.is_cuda or turned.dtype == torch.float32 else turned.contiguous()
    return scores


def _scores_by_distance(
    queries: torch.Tensor,
    keys: torch.Tensor,
    position_queries: torch.Tensor,
    position_keys: torch.Tensor,
    positions: torch.Tensor,
    room: torch.Tensor | None,
) -> torch.Tensor:
    """The same of all rows and heads, (B, heads, M, N), by products with M + N - 1 embeddings instead of n.

    A card reads an index of eight bytes for each score that it gathers, and none so. What that gains there
    has not been measured.
    """
    asked, count = queries.shape[2], keys.shape[2]
    # up to a multiple of eight, without which cuBLAS has slower kernels in 16 bits
    more = positions[-1:].expand(-positions.numel() % ALIGNED)
    distances = torch.cat([positions, more])
    of_queries = _multiply(queries, position_keys[:, distances], None)
    of_keys = _multiply(keys, position_queries[:, distances], None)
    (*heads, row, _), (*others, column, _) = of_queries.stride(), of_keys.stride()
    shape = (*queries.shape[:2], asked, count)
    return torch.add(
        of_queries.as_strided(shape, (*heads, row + 1, 1)),
        of_keys.as_strided(shape, (*others, 1, column + 1)),
        out=room,
    )


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

"""SEW-D: the forward pass, one step after the other as SEWDModel of transformers takes them.

SEW (see sew.py) with the disentangled attention of DeBERTa (arXiv 2006.03654, section 3.1): to the
product of contents come content to position and position to content, both by relative position.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.engine.attention import Products
from sewcli.acoustic.engine.config import EngineConfig
from sewcli.acoustic.engine.convolutions import FeatureExtractor, Squeeze
from sewcli.acoustic.engine.layers import (
    ALIGNED,
    FeatureProjection,
    LayerNorm,
    Lengths,
    Linear,
    Upsampling,
)
from sewcli.acoustic.engine.operators import Operators
from sewcli.acoustic.engine.positions import Positions, relative_embeddings, relative_positions
from sewcli.acoustic.engine.weights import Weights
from sewcli.chunking import PAIR

PositionsOf = Callable[[int], Positions]

#: scores of the heads that are computed together on the CPU, for each thread: short rows gain by more heads
#: at once (100 states: 1.3 to 1.7 times as fast as with one a thread), larger ones leave the cache (500: 0.6)
_GROUP_SCORES = 90_000
#: scores beyond which the queries are taken in blocks, and the least of one: of a chunk of 50 min all scores
#: of one head would take 22 GB in float32. Each block takes a product with the keys anew, half of its own
_MOST_SCORES = 1 << 27
_LEAST_QUERIES = 1024


class SewD:
    """SEWDModel."""

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators) -> None:
        self._config = config
        self._operators = operators
        self._extractor = FeatureExtractor(config, weights, operators)
        self._projection = FeatureProjection(config, weights, operators)
        self._squeeze = Squeeze(config, weights, operators)
        embeddings = relative_embeddings(config, weights)
        self._layers = [
            _Layer(config, weights, operators, f"encoder.encoder.layer.{layer}.", embeddings)
            for layer in range(config.layers)
        ]
        self._upsampling = Upsampling(config, weights, operators)
        self._positions: tuple[int, Positions | None] = 0, None

    def __call__(self, batch: Batch, layer: int | None = None) -> torch.Tensor:
        """Hidden states (B, frames, hidden); only the first 2 floor(F / 2) of a row count.

        Args:
            batch: what is heard.
            layer: end there (0: before the first), each of its states twice; None is last_hidden_state.
        """
        # SEWDFeatureEncoder, the paper's wave feature extractor: a frame every 20 ms
        features = self._extractor(batch)
        # SEWDModel.layer_norm and feature_projection
        features = self._projection(features, batch.frames)
        # SEWDEncoder.pos_conv_embed and pool, the squeeze of the paper: a state every 40 ms
        states = self._squeeze(features)
        # what is compiled wants tensors of the same form in all batches: see `Compiled`
        lengths = Lengths.of(batch, states.dtype, self._operators, same_form=self._operators.compiled)
        states = states[:, : lengths.width]
        # SEWDTransformerEncoder: get_rel_pos, then its layers, the context network
        positions = functools.cache(functools.partial(self._relative_positions, device=states.device))
        for transform in self._layers[:layer]:
            states = transform(states, lengths, positions)
        if layer is not None:
            return states.repeat_interleave(PAIR, dim=1)
        # SEWDEncoder.upsample: two frames of each state
        return self._upsampling(states)

    def _relative_positions(self, count: int, device: torch.device) -> Positions:
        """Those asked for last where they are for as many states: chunks of one length follow each other."""
        known, positions = self._positions
        if known != count or positions is None:
            positions = relative_positions(count, self._config, device, trimmed=self._operators.by_matrix)
            self._positions = count, positions
        return positions


class _Layer:
    """SEWDLayer: attention and feed-forward, each followed by its layer norm."""

    def __init__(
        self,
        config: EngineConfig,
        weights: Weights,
        operators: Operators,
        name: str,
        embeddings: torch.Tensor,
    ) -> None:
        hidden, inner = config.hidden, config.intermediate
        self._attention = _Attention(config, weights, operators, name + "attention.", embeddings)
        self._attention_norm = LayerNorm(weights, name + "attention.output.LayerNorm", hidden, config.epsilon)
        self._up = Linear(weights, operators, name + "intermediate.dense", inner, hidden, gelu=True)
        self._down = Linear(weights, operators, name + "output.dense", hidden, inner)
        self._final_norm = LayerNorm(weights, name + "output.LayerNorm", hidden, config.epsilon)

    def __call__(self, states: torch.Tensor, lengths: Lengths, positions: PositionsOf) -> torch.Tensor:
        states = self._attention_norm(states + self._attention(states, lengths, positions))
        return self._final_norm(states + self._down(self._up(states)))


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
        positions: those of `Positions.rows` for these queries, see `_blocks`: (M + N - 1,).
        mask: of `Lengths`; None for none.
        room: for the scores, (B, heads, M, N), which is overwritten; None allocates it.
    """
    queries = queries.flip(2)
    rows, heads, asked, _ = queries.shape
    count = keys.shape[2]
    distances = positions.as_strided((asked, count), (1, 1)).expand(rows, heads, asked, count)
    bias = torch.gather(queries @ position_keys.transpose(1, 2), 3, distances, out=room)
    bias += torch.gather(position_queries @ keys.transpose(2, 3), 2, distances)
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
    # gathering along the rows of the transpose does the same as gathering down the columns of `distances` in
    # 0.75 of the time
    distances, transposed = (
        positions.as_strided(shape, (1, 1)).expand(heads, *shape)
        for shape in ((asked, count), (count, asked))
    )
    bias = torch.gather(products.multiply(queries, position_keys, None), 2, distances)
    from_position = torch.gather(products.multiply(keys, position_queries, None), 2, transposed)
    transposed = from_position.transpose(1, 2)
    # adding the view takes 0.9 of the time of attention on two threads (750 states), 1.4 in bfloat16
    bias += transposed if bias.dtype == torch.float32 else transposed.contiguous()
    return products.attend(queries, keys, values, length, bias).flip(1)


def _blocks(count: int, heads: int, positions: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
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


class _Attention:
    """DisentangledSelfAttention with SEWDSelfOutput.dense.

    The score of query i and key j is (Q_i K_j + Q_i PK_d + K_j PQ_d) / sqrt(3 size), where PK and PQ
    are the relative embeddings through the projections of keys and queries, and d is the row of them
    that belongs to the distance i - j.

    The queries are taken in reverse order: i - j is then a constant less the sum of the two indices,
    and the matrix of the d is a view of a vector. Gathering through it takes the time of gathering through a
    matrix made in advance (1.0 to 1.1 times as fast), which then need not be made: 8 N N bytes.
    """

    def __init__(
        self,
        config: EngineConfig,
        weights: Weights,
        operators: Operators,
        name: str,
        embeddings: torch.Tensor,
    ) -> None:
        hidden = config.hidden
        self._heads, self._size = config.heads, config.head_size
        self._operators = operators
        self._disentangled = operators.fused(disentangled_attention)
        scale = 1.0 / math.sqrt(3 * config.head_size)
        names = [name + f"self.{part}_proj" for part in ("query", "key", "value")]
        self._project = Linear(weights, operators, tuple(names), hidden, hidden, scale=scale)
        self._out = Linear(weights, operators, name + "output.dense", hidden, hidden)

        def embedded(projection: str) -> torch.Tensor:
            """The relative embeddings projected, once and for all: (heads, 2 span, size).

            The library does so in every call. Without, attention is 1.1 (500 states) to 1.5 times (250) as
            fast in float32 and 1.3 to 2.4 times in bfloat16, on one thread of a Xeon.
            """
            weight = weights.take_float32(projection + ".weight", hidden, hidden).clone()
            bias = weights.take_float32(projection + ".bias", hidden)
            values = torch.nn.functional.linear(embeddings, weight, bias)
            return values.view(-1, config.heads, config.head_size).transpose(0, 1)

        self._position_queries = (embedded(names[0]) * scale).to(weights.dtype).contiguous()
        self._position_keys = embedded(names[1]).to(weights.dtype).contiguous()

    def __call__(self, states: torch.Tensor, lengths: Lengths, positions: PositionsOf) -> torch.Tensor:
        """(B, N, hidden) -> (B, N, hidden); positions of a number of states."""
        rows, count, hidden = states.shape
        # (3, B, heads, N, d): queries, keys, values
        projected = self._project(states).view(rows, count, 3, self._heads, self._size)
        attend = self._by_group if self._operators.by_matrix else self._at_once
        context = attend(projected.permute(2, 0, 3, 1, 4), lengths, positions)
        return self._out(context.reshape(rows, count, hidden))

    def _at_once(self, projected: torch.Tensor, lengths: Lengths, positions: PositionsOf) -> torch.Tensor:
        """All rows and heads: (B, N, heads, d)."""
        queries, keys, values = projected
        rows, heads, count, _ = queries.shape
        known = positions(count)
        # torch's fused attention copies a bias whose rows do not begin at multiples of eight
        aligned = -(-count // ALIGNED) * ALIGNED
        context = []
        for block, own_positions in _blocks(count, rows * heads, known.rows):
            some = queries[:, :, block]
            room = None
            if not self._operators.compiled:
                room = some.new_empty(*some.shape[:3], aligned)[..., :count]
            context.append(
                self._disentangled(
                    some,
                    keys,
                    values,
                    self._position_queries[:, known.reached],
                    self._position_keys[:, known.reached],
                    own_positions,
                    lengths.mask,
                    room,
                )
            )
        return (context[0] if len(context) == 1 else torch.cat(context, dim=2)).transpose(1, 2)

    def _by_group(self, projected: torch.Tensor, lengths: Lengths, positions: PositionsOf) -> torch.Tensor:
        """The same, one row and as many heads at a time as fit the cache."""
        _, rows, heads, count, size = projected.shape
        context = projected.new_zeros(rows, count, heads, size)
        fused = self._operators.fused_with_bias
        for row, length in enumerate(lengths.rows):
            if not length:
                continue
            products = self._operators.products(length)
            taken = length if fused else products.padded(length, count)
            known = positions(taken)
            for group in products.groups(heads, taken, _GROUP_SCORES):
                queries, keys, values = projected[:, row, group, :taken]
                position_queries = self._position_queries[group, known.reached]
                position_keys = self._position_keys[group, known.reached]
                for block, own_positions in _blocks(taken, len(queries), known.rows):
                    some, of_positions = queries[:, block], (position_queries, position_keys, own_positions)
                    if fused:
                        attended = disentangled_attention(
                            some[None], keys[None], values[None], *of_positions, None
                        )[0]
                    else:
                        attended = disentangled_attention_by_products(
                            some, keys, values, *of_positions, length, products
                        )
                    context[row, block, group] = attended.transpose(0, 1)
        return context

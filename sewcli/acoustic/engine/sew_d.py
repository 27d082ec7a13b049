"""SEW-D: the forward pass, one step after the other as SEWDModel of transformers takes them.

SEW (see sew.py) with the disentangled attention of DeBERTa (arXiv 2006.03654, section 3.1): to the
product of contents come content to position and position to content, both by relative position.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.engine.config import EngineConfig
from sewcli.acoustic.engine.convolutions import FeatureExtractor, Squeeze
from sewcli.acoustic.engine.disentangled import (
    MOST_BY_DISTANCE,
    disentangled_attention,
    disentangled_attention_by_products,
    query_blocks,
)
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
            # what is compiled wants as many of them in all batches
            trimmed = not self._operators.compiled
            positions = relative_positions(count, self._config, device, trimmed=trimmed)
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


class _Attention:
    """DisentangledSelfAttention with SEWDSelfOutput.dense.

    The scores, divided by sqrt(3 size) (the scale is in the projection of the queries), and the order of the
    queries are those of disentangled.py.
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
        by_distance = not self._operators.gathers and count <= MOST_BY_DISTANCE
        # torch's fused attention copies a bias whose rows do not begin at multiples of eight
        aligned = -(-count // ALIGNED) * ALIGNED
        context = []
        for block, own_positions in query_blocks(count, rows * heads, known.rows):
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
                    by_distance=by_distance,
                )
            )
        return (context[0] if len(context) == 1 else torch.cat(context, dim=2)).transpose(1, 2)

    def _by_group(self, projected: torch.Tensor, lengths: Lengths, positions: PositionsOf) -> torch.Tensor:
        """The same, one row and as many heads at a time as fit the cache."""
        _, rows, heads, count, size = projected.shape
        context = projected.new_zeros(rows, count, heads, size)
        fused = self._operators.fused_with_bias
        for row, length in enumerate(lengths.rows):
            products = self._operators.products(length)
            taken = length if fused else products.padded(length, count)
            known = positions(taken)
            for group in products.groups(heads, taken, _GROUP_SCORES):
                queries, keys, values = projected[:, row, group, :taken]
                position_queries = self._position_queries[group, known.reached]
                position_keys = self._position_keys[group, known.reached]
                for block, own_positions in query_blocks(taken, len(queries), known.rows):
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

"""SEW: the forward pass, one step after the other as SEWModel of transformers takes them.

The paper is "Performance-Efficiency Trade-offs in Unsupervised Pre-training for Speech Recognition"
(arXiv 2109.06870): wave feature extractor, squeezed context network, upsampling.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.engine.config import EngineConfig
from sewcli.acoustic.engine.convolutions import FeatureExtractor, Squeeze
from sewcli.acoustic.engine.layers import (
    FeatureProjection,
    LayerNorm,
    Lengths,
    Linear,
    Upsampling,
)
from sewcli.acoustic.engine.operators import Operators
from sewcli.acoustic.engine.weights import Weights
from sewcli.chunking import PAIR

#: scores of the heads that are computed together by products, for each thread
_GROUP_SCORES = 1_000_000
#: states (80 s) above which it goes by torch's function in any case, which keeps no scores: 16 MB a head here
_LONGEST = 2000


class Sew:
    """SEWModel."""

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators) -> None:
        self._operators = operators
        self._extractor = FeatureExtractor(config, weights, operators)
        self._projection = FeatureProjection(config, weights, operators)
        self._squeeze = Squeeze(config, weights, operators)
        self._norm = LayerNorm(weights, "encoder.layer_norm", config.hidden, config.epsilon)
        self._layers = [
            _Layer(config, weights, operators, f"encoder.layers.{layer}.") for layer in range(config.layers)
        ]
        self._upsampling = Upsampling(config, weights, operators)

    def __call__(self, batch: Batch, layer: int | None = None) -> torch.Tensor:
        """Hidden states (B, frames, hidden); only the first 2 floor(F / 2) of a row count.

        Args:
            batch: what is heard.
            layer: end there (0: before the first), each of its states twice; None is last_hidden_state.
        """
        # SEWFeatureEncoder, the paper's wave feature extractor: a frame every 20 ms
        features = self._extractor(batch)
        # SEWModel.layer_norm and feature_projection
        features = self._projection(features, batch.frames)
        # SEWEncoder.pos_conv_embed and pool, the squeeze of the paper: a state every 40 ms; then layer_norm
        states = self._squeeze(features)
        lengths = Lengths.of(batch, states.dtype, self._operators)
        states = self._norm(states[:, : lengths.width])
        # SEWEncoder.layers, the context network
        for transform in self._layers[:layer]:
            states = transform(states, lengths)
        if layer is not None:
            return states.repeat_interleave(PAIR, dim=1)
        # SEWEncoder.upsample: two frames of each state
        return self._upsampling(states)


class _Layer:
    """SEWEncoderLayer: attention and feed-forward, each followed by its layer norm."""

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators, name: str) -> None:
        hidden, inner = config.hidden, config.intermediate
        self._attention = _Attention(config, weights, operators, name + "attention.")
        self._attention_norm = LayerNorm(weights, name + "layer_norm", hidden, config.epsilon)
        self._up = Linear(
            weights, operators, name + "feed_forward.intermediate_dense", inner, hidden, gelu=True
        )
        self._down = Linear(weights, operators, name + "feed_forward.output_dense", hidden, inner)
        self._final_norm = LayerNorm(weights, name + "final_layer_norm", hidden, config.epsilon)

    def __call__(self, states: torch.Tensor, lengths: Lengths) -> torch.Tensor:
        states = self._attention_norm(states + self._attention(states, lengths))
        return self._final_norm(states + self._down(self._up(states)))


class _Attention:
    """SEWAttention: softmax(Q K' / sqrt(d)) V by head."""

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators, name: str) -> None:
        self._heads, self._size = config.heads, config.head_size
        self._operators = operators
        self._project = Linear(
            weights,
            operators,
            (name + "q_proj", name + "k_proj", name + "v_proj"),
            config.hidden,
            config.hidden,
            scale=config.head_size**-0.5,
        )
        self._out = Linear(weights, operators, name + "out_proj", config.hidden, config.hidden)

    def __call__(self, states: torch.Tensor, lengths: Lengths) -> torch.Tensor:
        """(B, N, hidden) -> (B, N, hidden)."""
        rows, count, hidden = states.shape
        # (3, B, heads, N, d): queries, keys, values
        projected = self._project(states).view(rows, count, 3, self._heads, self._size)
        attend = self._by_row if self._operators.by_matrix else self._at_once
        context = attend(projected.permute(2, 0, 3, 1, 4), lengths)
        return self._out(context.reshape(rows, count, hidden))

    def _at_once(self, projected: torch.Tensor, lengths: Lengths) -> torch.Tensor:
        """All rows and heads: (B, N, heads, d)."""
        queries, keys, values = projected
        context = F.scaled_dot_product_attention(queries, keys, values, attn_mask=lengths.mask, scale=1.0)
        return context.transpose(1, 2)

    def _by_row(self, projected: torch.Tensor, lengths: Lengths) -> torch.Tensor:
        """The same, one row at a time."""
        _, rows, heads, count, size = projected.shape
        context = projected.new_zeros(rows, count, heads, size)
        for row, length in enumerate(lengths.rows):
            if self._operators.fused_attention or length > _LONGEST:
                queries, keys, values = projected[:, row : row + 1, :, :length]
                fused = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
                context[row, :length] = fused[0].transpose(0, 1)
                continue
            products = self._operators.products(length)
            padded = products.padded(length, count)
            queries, keys, values = projected[:, row, :, :padded]
            for group in products.groups(heads, padded, _GROUP_SCORES):
                attended = products.attend(queries[group], keys[group], values[group], length)
                context[row, :padded, group] = attended.transpose(0, 1)
        return context

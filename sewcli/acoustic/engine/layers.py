"""The parts both families are made of, beside the convolutions: linear layers, layer norms, the lengths of
rows, and what happens right before and after the transformer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from sewcli.acoustic.batch import Batch, frame_mask
from sewcli.acoustic.engine.config import EngineConfig
from sewcli.acoustic.engine.operators import Operators
from sewcli.acoustic.engine.weights import Weights
from sewcli.chunking import HOP, PAIR

#: columns of a mask or bias, whose multiples torch's fused attention takes without a copy
ALIGNED = 8


@dataclass(frozen=True)
class Lengths:
    """How many states (pairs of frames) of each row are its own.

    Attributes:
        rows: by row.
        width: N, states of a row that are computed.
        mask: (B, 1, 1, N), what is added to the scores of a row: 0 for its own states, -inf for others; None
            where there are no others.
    """

    rows: list[int]
    width: int
    mask: torch.Tensor | None = None

    @classmethod
    def of(
        cls, batch: Batch, dtype: torch.dtype, operators: Operators, *, same_form: bool = False
    ) -> Lengths:
        """Those of a batch.

        Attention that runs row by row needs no mask. Rows that run together end with the longest one, and
        those of one length have no mask either.

        Args:
            batch: of the rows.
            dtype: of the scores; torch would make a mask in it of any other before every layer.
            operators: of the network.
            same_form: where rows run together, make a mask for all states in any case.
        """
        rows = [frames // PAIR for frames in batch.frame_counts]
        states = (batch.samples.shape[1] // HOP) // PAIR
        if operators.by_matrix:
            return cls(rows, states)
        width = states if same_form else max(rows)
        if not same_form and min(rows) == width:
            return cls(rows, width)
        # torch copies one whose rows do not begin at multiples of eight
        outside = ~frame_mask(batch.frames // PAIR, -(-width // ALIGNED) * ALIGNED)
        mask = torch.zeros(outside.shape, dtype=dtype, device=outside.device).masked_fill_(
            outside, -torch.inf
        )
        return cls(rows, width, mask[:, None, None, :width])


class Linear:
    """A linear layer, with erf-GELU if asked; its weight is packed once.

    Several names make one layer of their outputs side by side, those of the first times `scale`: one
    product instead of three is 1.0 to 1.3 times as fast in float32, and no slower in bfloat16.
    """

    def __init__(
        self,
        weights: Weights,
        operators: Operators,
        names: str | tuple[str, ...],
        outputs: int,
        inputs: int,
        *,
        gelu: bool = False,
        scale: float = 1.0,
    ) -> None:
        if isinstance(names, str):
            weight = weights.take(f"{names}.weight", outputs, inputs)
            bias = weights.take(f"{names}.bias", outputs)
        else:
            weight, bias = (
                torch.cat([weights.take_float32(f"{name}.{part}", *shape) for name in names])
                for part, shape in (("weight", (outputs, inputs)), ("bias", (outputs,)))
            )
            for tensor in (weight, bias):
                tensor[:outputs] *= scale
        self._layer = operators.layer(weight.to(weights.dtype), bias.to(weights.dtype), gelu=gelu)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """(..., inputs) -> (..., outputs)."""
        return self._layer(values)


class LayerNorm:
    """torch.nn.LayerNorm."""

    def __init__(self, weights: Weights, name: str, width: int, epsilon: float) -> None:
        self._weight = weights.take(f"{name}.weight", width)
        self._bias = weights.take(f"{name}.bias", width)
        self._epsilon = epsilon

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """(..., width) -> (..., width)."""
        return F.layer_norm(values, self._bias.shape, self._weight, self._bias, self._epsilon)


class FeatureProjection:
    """Layer norm and projection to the width of the transformer (SEWModel.forward)."""

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators) -> None:
        width = config.channels[-1]
        self._norm = LayerNorm(weights, "layer_norm", width, config.feature_epsilon)
        self._projection = (
            Linear(weights, operators, "feature_projection", config.hidden, width)
            if width != config.hidden
            else None
        )

    def __call__(self, features: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """(B, F, channels) -> (B, F, hidden), zero past the end of a row as the library's padding is."""
        hidden = self._norm(features)
        if self._projection is not None:
            hidden = self._projection(hidden)
        return hidden.masked_fill_(~frame_mask(frames, hidden.shape[1])[..., None], 0.0)


class Upsampling:
    """SEWUpsampling: a state back to two frames."""

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators) -> None:
        self._projection = Linear(
            weights, operators, "encoder.upsample.projection", PAIR * config.hidden, config.hidden, gelu=True
        )

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """(B, N, hidden) -> (B, 2 N, hidden)."""
        rows, count, hidden = states.shape
        return self._projection(states).view(rows, count * PAIR, hidden)

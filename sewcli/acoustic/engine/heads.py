"""What stands on the encoder: nothing, the CTC head or the classifier."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from sewcli.acoustic.batch import Batch, frame_mask
from sewcli.acoustic.engine.config import EngineConfig
from sewcli.acoustic.engine.layers import Linear
from sewcli.acoustic.engine.operators import Operators
from sewcli.acoustic.engine.weights import Weights
from sewcli.chunking import PAIR


class CtcHead:
    """SEWForCTC.lm_head, in float32 whatever the dtype: rounding logits to bfloat16 would change best tokens.

    Attributes:
        bias: (columns,), float32.
    """

    def __init__(self, config: EngineConfig, weights: Weights) -> None:
        self._weight = weights.take_float32("lm_head.weight", config.columns, config.hidden)
        self.bias = weights.take_float32("lm_head.bias", config.columns)

    def __call__(self, hidden: torch.Tensor, _batch: Batch) -> torch.Tensor:
        """(B, frames, hidden) -> (B, frames, columns), float32."""
        return F.linear(hidden.float(), self._weight, self.bias)


class ClassificationHead:
    """SEWForSequenceClassification: projector, mean over time, classifier; from the mean on in float32."""

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators, labels: int) -> None:
        width = config.projection
        self._projector = Linear(weights, operators, "projector", width, config.hidden)
        # of a frame that is zero: the odd last one enters the library's mean as such
        self._empty = weights.take_float32("projector.bias", width)
        self._weight = weights.take_float32("classifier.weight", labels, width)
        self._bias = weights.take_float32("classifier.bias", labels)

    def __call__(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, frames, hidden) -> (B, labels), float32."""
        projected = self._projector(hidden)
        kept = batch.frames // PAIR * PAIR
        inside = frame_mask(kept, projected.shape[1])
        # the sum over a minute leaves the range of float16
        summed = projected.masked_fill(~inside[..., None], 0.0).sum(dim=1, dtype=torch.float32)
        summed = summed + (batch.frames - kept)[:, None] * self._empty
        return F.linear(summed / batch.frames[:, None], self._weight, self._bias)


class NoHead:
    """SEWModel: the hidden states themselves."""

    def __call__(self, hidden: torch.Tensor, _batch: Batch) -> torch.Tensor:
        """(B, frames, hidden), as they are."""
        return hidden

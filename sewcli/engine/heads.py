"""What stands on the encoder: nothing, the CTC head or the classifier."""

from __future__ import annotations

import torch

from sewcli.acoustic.batch import Batch
from sewcli.chunking import PAIR
from sewcli.engine.config import EngineConfig
from sewcli.engine.layers import Linear
from sewcli.engine.operators import Operators
from sewcli.engine.weights import Weights


class CtcHead:
    """SEWForCTC.lm_head."""

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators) -> None:
        self._linear = Linear(weights, operators, "lm_head", config.columns, config.hidden)

    def __call__(self, hidden: torch.Tensor, _batch: Batch) -> torch.Tensor:
        """(B, frames, hidden) -> (B, frames, columns)."""
        return self._linear(hidden)


class ClassificationHead:
    """SEWForSequenceClassification: projector, mean over time, classifier."""

    def __init__(self, config: EngineConfig, weights: Weights, operators: Operators, labels: int) -> None:
        width = config.projection
        self._projector = Linear(weights, operators, "projector", width, config.hidden)
        # of a frame that is zero: the odd last one enters the library's mean as such
        self._empty = weights.take("projector.bias", width)
        self._classifier = Linear(weights, operators, "classifier", labels, width)

    def __call__(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, frames, hidden) -> (B, labels)."""
        projected = self._projector(hidden)
        kept = batch.frames // PAIR * PAIR
        inside = torch.arange(projected.shape[1], device=projected.device) < kept[:, None]
        summed = projected.masked_fill(~inside[..., None], 0.0).sum(dim=1)
        summed = summed + (batch.frames - kept)[:, None] * self._empty
        return self._classifier((summed / batch.frames[:, None]).to(projected.dtype))


class NoHead:
    """SEWModel: the hidden states themselves."""

    def __call__(self, hidden: torch.Tensor, _batch: Batch) -> torch.Tensor:
        """(B, frames, hidden), as they are."""
        return hidden

"""The relative positions of SEW-D: which embedding belongs to the distance of two states."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sewcli.acoustic.engine.config import EngineConfig
from sewcli.acoustic.engine.weights import Weights
from sewcli.acoustic.transfers import pinned


@dataclass(frozen=True)
class Positions:
    """Relative positions of N states.

    Attributes:
        reached: the relative embeddings that the distances of N states can reach, or all.
        rows: which of these belongs to the distances N - 1 ... 1 - N: (2 N - 1,), int64.
    """

    reached: slice
    rows: torch.Tensor


def _span(config: EngineConfig) -> int:
    """Relative positions on each side that have an embedding of their own."""
    return config.buckets if config.buckets > 0 else config.positions


def relative_embeddings(config: EngineConfig, weights: Weights) -> torch.Tensor:
    """get_rel_embedding: (2 span, hidden), float32, the same for all layers."""
    name = "encoder.encoder."
    embeddings = weights.take_float32(name + "rel_embeddings.weight", 2 * _span(config), config.hidden)
    if not config.norm_positions:
        return embeddings
    return torch.nn.functional.layer_norm(
        embeddings,
        (config.hidden,),
        weights.take_float32(name + "LayerNorm.weight", config.hidden),
        weights.take_float32(name + "LayerNorm.bias", config.hidden),
        config.epsilon,
    )


def relative_positions(
    count: int, config: EngineConfig, device: torch.device, *, trimmed: bool = True
) -> Positions:
    """The relative positions of `count` states.

    build_relative_position, make_log_bucket_position and the clamp of disentangled_attention_bias,
    whose float32 arithmetic it repeats so that no distance falls into another bucket. Near distances
    have a bucket each, far ones share buckets on a logarithmic scale.

    Args:
        count: of the states.
        config: of the model.
        device: where they are used.
        trimmed: leave out embeddings that no distance reaches.
    """
    distance = torch.arange(count - 1, -count, -1)
    if config.buckets > 0 and config.positions > 0:
        middle = config.buckets // 2
        near = (distance < middle) & (distance > -middle)
        reach = torch.where(near, torch.tensor(middle - 1), distance.abs())
        share = torch.log(reach / middle) / torch.log(torch.tensor((config.positions - 1) / middle))
        bucket = torch.ceil(share * (middle - 1)) + middle
        far = bucket * torch.sign(distance)
        distance = torch.where(reach <= middle, distance.type_as(far), far).long()
    span = _span(config)
    rows = (distance + span).clamp(0, 2 * span - 1)
    # of short chunks the far embeddings are left out of all products: 0.9 of the work for 1 s, 0.97 for 8 s
    reached = slice(int(rows.min()), int(rows.max()) + 1) if trimmed else slice(0, 2 * span)
    rows -= reached.start
    # to wait for this copy would be to wait for the batch before
    moved = (pinned(rows) if device.type == "cuda" else rows).to(device, non_blocking=True)
    return Positions(reached, moved)

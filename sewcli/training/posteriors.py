"""Losses that compare posteriors with posteriors: those of a teacher, and those of a second reading."""

from __future__ import annotations

from typing import Any

import torch

from sewcli.acoustic.batch import Batch, frame_mask
from sewcli.chunking import PAIR
from sewcli.errors import UsageError

#: what makes two readings of a clip differ, by the configuration's names
_MASKS = ("mask_time_prob", "mask_feature_prob")
_DROPOUTS = (
    "hidden_dropout",
    "attention_dropout",
    "activation_dropout",
    "feat_proj_dropout",
    "final_dropout",
)


def divergence(wanted: torch.Tensor, found: torch.Tensor, frames: torch.Tensor, tokens: int) -> torch.Tensor:
    """Kullback-Leibler divergence of posteriors from those wanted, for each token of the targets.

    By tokens and not by frames, so that it is of the size of the CTC loss.

    Args:
        wanted, found: logarithms of the posteriors, (B, frames, vocabulary).
        frames: of each row, (B,); those past them do not count.
        tokens: in the targets of the batch.
    """
    inside = frame_mask(frames // PAIR * PAIR, found.shape[1])
    differences = (wanted.exp() * (wanted - found)).sum(-1)
    return differences.masked_fill(~inside, 0.0).sum() / max(1, tokens)


def read_twice(batch: Batch) -> Batch:
    """Every row once more, below all others: SpecAugment and dropout make the second reading another."""

    def twice(rows: torch.Tensor) -> torch.Tensor:
        return torch.cat((rows, rows))

    return Batch(
        twice(batch.samples),
        twice(batch.frames),
        batch.frame_counts * 2,
        twice(batch.window_mean),
        twice(batch.window_covariance),
        None if batch.features is None else twice(batch.features),
    )


def disagreement(logits: torch.Tensor, batch: Batch, tokens: int) -> torch.Tensor:
    """How far two readings of the same clips lie apart, each taken for the other's target.

    The consistency loss of Yao et al., "CR-CTC: Consistency regularization on CTC for improved speech
    recognition" (arXiv 2410.05101), equations 4 and 5: the mean of both directions, no gradient through
    what is taken for the target.

    Args:
        logits: of a batch of `read_twice`, (2 B, frames, vocabulary).
        batch: that gave them.
        tokens: in the targets of the batch, both readings counted.
    """
    found = logits.float().log_softmax(-1)
    wanted = found.detach().roll(found.shape[0] // 2, dims=0)
    return divergence(wanted, found, batch.frames, tokens)


def check_readings(config: Any) -> None:
    """Refuse a model whose two readings would be the same (UsageError)."""
    names = (*_MASKS, *_DROPOUTS) if config.apply_spec_augment else _DROPOUTS
    if not any(getattr(config, name, 0.0) for name in names):
        raise UsageError(
            "consistency compares two readings of a clip, and nothing makes them differ",
            hint="set config.mask_time_prob or a dropout, or leave consistency out",
        )

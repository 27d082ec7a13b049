"""Optimisers: AdamW for every weight, or Muon for the matrices and AdamW for the rest."""

from __future__ import annotations

from typing import Any

import torch

from sewcli.acoustic.forward import Model


def make_optimizers(model: Model, kind: str, weight_decay: float) -> list[torch.optim.Optimizer]:
    """The optimisers of a training run; the learning rate is set before each update.

    Muon (Jordan et al., 2024) orthogonalises the momentum of a weight matrix. With the factor
    0.2 sqrt(max(rows, columns)) (Liu et al., arXiv 2502.16982) its updates are as large as those of
    AdamW, so one learning rate serves both. Vectors, convolutions and the head stay with AdamW.
    """
    parameters = [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
    matrices = [
        tensor
        for name, tensor in parameters
        if kind == "muon" and tensor.ndim == 2 and name.startswith(model.base_model_prefix)
    ]
    chosen = {id(tensor) for tensor in matrices}
    rest = [tensor for _, tensor in parameters if id(tensor) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=weight_decay, fused=True)
    ]
    if matrices:
        muon: Any = torch.optim.Muon
        optimizers.append(muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"))
    return optimizers

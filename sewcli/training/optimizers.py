"""Optimisers: AdamW for every weight, or Muon for the matrices; the schedule and the moving average."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sewcli.acoustic.cuda import multiplies_bfloat16_on
from sewcli.acoustic.forward import Model
from sewcli.acoustic.processor import has_instructions
from sewcli.training.recipe import Recipe

#: of the quintic iteration: Jordan et al., 2024
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_EPSILON = 1e-7


def make_optimizers(model: Model, kind: str, weight_decay: float) -> list[torch.optim.Optimizer]:
    """The optimisers of a training run; the learning rate is set before each update.

    With "muon" the matrices of the encoder go to `Muon`; vectors, convolutions and the head stay with
    AdamW.
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
        optimizers.append(Muon(matrices, weight_decay=weight_decay))
    return optimizers


def restore_optimizers(
    optimizers: Sequence[torch.optim.Optimizer], states: Sequence[dict[str, Any]], weight_decay: float
) -> None:
    """Load what was saved of the optimisers of `make_optimizers`, which go on with another weight decay."""
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict(state)
        for group in optimizer.param_groups:
            group["weight_decay"] = weight_decay


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear rise over the warm-up, then constant, then linear fall to zero."""
    decay_start = recipe.decay_from * recipe.steps
    rise = min(1.0, (step + 1) / max(1, recipe.warmup))
    fall = min(1.0, (recipe.steps - step) / max(1.0, recipe.steps - decay_start))
    return recipe.peak_rate * min(rise, fall)


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal, for weight matrices (Jordan et al., 2024).

    With the factor 0.2 sqrt(max(rows, columns)) (Liu et al., arXiv 2502.16982) its updates are as large
    as those of AdamW, so one learning rate serves both.

    torch.optim.Muon does the same but always multiplies in bfloat16, which on processors without it
    takes some thirty times as long as float32.

    Args:
        matrices: the weights, two dimensions each.
        weight_decay: decoupled, as in AdamW.
        momentum: of the gradient, with Nesterov's look ahead.
    """

    def __init__(
        self, matrices: Iterable[torch.Tensor], *, weight_decay: float = 0.1, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": 1e-3, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - of its interface
        """One update."""
        for group in self.param_groups:
            for weights in _by_shape(group["params"]):
                changes = []
                for weight in weights:
                    state, gradient = self.state[weight], cast(torch.Tensor, weight.grad)
                    if not state:
                        state["momentum"] = torch.zeros_like(gradient)
                    momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    changes.append(gradient.lerp(momentum, group["momentum"]))
                factor = -group["lr"] * 0.2 * math.sqrt(max(weights[0].shape))
                for weight, change in zip(weights, orthogonal(torch.stack(changes)), strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.add_(change, alpha=factor)


def _by_shape(weights: Iterable[torch.Tensor]) -> Iterable[list[torch.Tensor]]:
    """Matrices of the same shape, which are made orthogonal together; without those layerdrop left out."""
    shapes: dict[torch.Size, list[torch.Tensor]] = {}
    for weight in weights:
        if weight.grad is not None:
            shapes.setdefault(weight.shape, []).append(weight)
    return shapes.values()


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """U V' of the singular value decomposition U S V' of each, roughly: singular values lie about 1.

    By five quintic Newton-Schulz iterations, in bfloat16 on cards that have it and on processors with AMX,
    where it is some eight times as fast, and in float32 elsewhere.

    Args:
        matrices: shape (matrices, rows, columns).
    """
    wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    is_fast = multiplies_bfloat16_on(matrices.device) if matrices.is_cuda else has_instructions("amx_bf16")
    wide = wide.to(torch.bfloat16 if is_fast else torch.float32)
    wide = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp(min=_EPSILON)
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    found: torch.Tensor = wide if matrices.shape[-2] <= matrices.shape[-1] else wide.mT
    return found.to(matrices.dtype)


def moving_average(model: Model, recipe: Recipe) -> AveragedModel:
    """A copy of the model that follows its weights slowly."""
    decay = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=decay)

"""Muon against that of torch, and against a singular value decomposition."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sewcli.acoustic.processor import has_instructions
from sewcli.training.optimizers import Muon, learning_rate, orthogonal
from sewcli.training.recipe import Recipe


@pytest.mark.parametrize("shape", [(24, 24), (16, 48), (48, 16)])
def test_singular_values_of_a_change_lie_about_one_and_its_directions_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    change = orthogonal(matrix[None])[0]
    inner = left.T @ change @ right.T
    values = inner.diagonal()
    assert ((values > 0.6) & (values < 1.3)).all()
    # with AMX it is multiplied in bfloat16
    assert float((inner - values.diag()).abs().max()) < (6e-2 if has_instructions("amx_bf16") else 1e-3)


def test_matrices_of_one_shape_are_updated_as_each_alone() -> None:
    torch.manual_seed(0)
    starts = [torch.randn(shape) for shape in ((16, 48), (16, 16), (16, 48), (16, 16))]
    gradients = [torch.randn(start.shape) for start in starts]
    gradients[3] *= 100.0
    together = [torch.nn.Parameter(start.clone()) for start in starts]
    apart = [torch.nn.Parameter(start.clone()) for start in starts]
    for weight, gradient in zip([*together, *apart], gradients * 2, strict=True):
        weight.grad = gradient.clone()
    Muon(together).step()
    for weight in apart:
        Muon([weight]).step()
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_matrix_without_a_gradient_stays() -> None:
    weights = [torch.nn.Parameter(torch.ones(4, 8)) for _ in range(2)]
    weights[0].grad = torch.eye(4, 8)
    Muon(weights).step()
    assert torch.equal(weights[1].detach(), torch.ones(4, 8))
    assert not torch.equal(weights[0].detach(), torch.ones(4, 8))


@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_updates_are_those_of_torch(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    start = torch.randn(shape) / 4
    gradients = [torch.randn(shape) for _ in range(5)]
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimizers = [
        Muon([ours], weight_decay=0.1),
        torch.optim.Muon([theirs], weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ]
    for gradient in gradients:
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.param_groups[0]["lr"] = 0.02
            optimizer.step()
    moved = float((theirs.detach() - start).norm())
    # torch multiplies in bfloat16
    assert float((ours - theirs).detach().norm()) < 0.03 * moved


def test_the_state_goes_on_where_it_was_saved() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(6, 9), [torch.randn(6, 9) for _ in range(4)]

    def after(stop: int | None) -> torch.Tensor:
        weight = torch.nn.Parameter(start.clone())
        optimizer = Muon([weight])
        for step, gradient in enumerate(gradients):
            if step == stop:
                state = optimizer.state_dict()
                optimizer = Muon([weight])
                optimizer.load_state_dict(state)
            weight.grad = gradient.clone()
            optimizer.step()
        return weight.detach()

    assert torch.equal(after(None), after(2))


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    recipe = dataclasses.replace(Recipe("x", "ctc", []), steps=100, warmup=10, decay_from=0.6, peak_rate=2.0)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10:60] == [2.0] * 50
    assert rates[60:] == pytest.approx([2.0 * (100 - step) / 40 for step in range(60, 100)])

"""Whether a training still goes anywhere: weights, gradients and the loss on dev that are no numbers."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from sewcli.acoustic.forward import Model
from sewcli.errors import UsageError
from sewcli.training.checkpoint import CHOSEN, has_checkpoint
from sewcli.training.recipe import Recipe

#: updates one after the other whose gradient may be no number: more do not come of one bad batch
_MOST_SKIPPED = 50


class Course:
    """Ends a training that has diverged, instead of a model that is of no use at its end.

    Args:
        recipe: of the training.
        directory: for its checkpoints.
    """

    def __init__(self, recipe: Recipe, directory: Path) -> None:
        self._recipe, self._directory = recipe, directory
        self._skipped = 0

    def made(self) -> None:
        """An update was made."""
        self._skipped = 0

    def skipped(self, model: Model, step: int) -> None:
        """An update was not made, because its gradient is no number.

        Raises:
            UsageError: no update could mend the weights, or none has been made for long.
        """
        self._skipped += 1
        self.check(model, step)
        if self._skipped >= min(_MOST_SKIPPED, self._recipe.steps):
            raise self._diverged(step, f"the gradients of {self._skipped} updates in a row are no numbers")

    def check(self, model: Model, step: int) -> None:
        """Look at the weights (UsageError where they are no numbers)."""
        if not all(bool(torch.isfinite(tensor).all()) for tensor in model.parameters()):
            raise self._diverged(step, "the weights are no numbers any more")

    def check_loss(self, loss: float, step: int) -> None:
        """Look at the loss on dev (UsageError where it is no number)."""
        if math.isnan(loss):
            raise self._diverged(step, "the loss on dev is no number")

    def _diverged(self, step: int, how: str) -> UsageError:
        kept = "; chosen-* holds what was best before" if has_checkpoint(self._directory, CHOSEN) else ""
        slower = f"a peak_rate below {self._recipe.peak_rate:g} or a longer warmup"
        return UsageError(
            f"the training has diverged at step {step}: {how}{kept}",
            hint=f"begin again in another -o, with {slower}",
        )

"""Learning from another model's posteriors for the first updates of a run.

CTC has to find out where each letter lies before it can learn what letters sound like. A model that has
found it, however small, tells every frame: the student is first asked for the teacher's posteriors and
less and less so, while the CTC loss takes their place (knowledge distillation, arXiv 1503.02531).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.checkpoint import class_name, family_of
from sewcli.acoustic.files import read_config
from sewcli.acoustic.forward import Model, base_model, ctc_logits
from sewcli.errors import UsageError
from sewcli.training.heads import outputs_of
from sewcli.training.posteriors import divergence


class Teacher:
    """A CTC model whose posteriors are matched.

    Args:
        model: with the columns of the student.
        steps: updates over which its share of the loss falls from 1 to 0, linearly.
    """

    def __init__(self, model: Model, steps: int) -> None:
        self._model = model.eval().requires_grad_(False)
        self._steps = steps

    @classmethod
    def load(cls, directory: Path, tokens: Sequence[str], steps: int) -> Teacher:
        """Load the model of a directory.

        Args:
            directory: of the model.
            tokens: what the columns of the student stand for, as `heads.roles` has it.
            steps: see the class.

        Raises:
            ModelError: it is no SEW model. UsageError: it is no CTC model, or has other columns than the
                student.
        """
        import transformers

        config = read_config(directory)
        name = class_name(family_of(directory, config), "ctc")
        if outputs_of(directory, "ctc") != tuple(tokens):
            raise UsageError(
                f"teacher: {directory} is not a CTC model with the {len(tokens)} characters that are trained",
                hint="choose a fine-tuned SEW or SEW-D model with the same vocabulary",
            )
        model = getattr(transformers, name).from_pretrained(
            directory, dtype=torch.float32, local_files_only=True, attn_implementation="eager"
        )
        return cls(model, steps)

    def share(self, step: int) -> float:
        """Its part of the loss at an update, the rest being that of CTC."""
        return max(0.0, 1.0 - step / self._steps)

    def check_features(self, model: Model) -> None:
        """Refuse kept features that are not what its own convolutions give (UsageError)."""
        own, given = (base_model(one).feature_extractor.state_dict() for one in (self._model, model))
        # the teacher moves to the device of the student with the first batch
        if own.keys() != given.keys() or any(
            not torch.equal(own[name].cpu(), given[name].cpu()) for name in own
        ):
            raise UsageError(
                "keep_features with a teacher needs both models to have the same convolutions",
                hint="set feature_encoder to the teacher, or leave keep_features out",
            )

    def loss(self, logits: torch.Tensor, batch: Batch, tokens: int) -> torch.Tensor:
        """Divergence of the student's posteriors from the teacher's, for each token of the targets.

        Args:
            logits: of the student, (B, frames, vocabulary).
            batch: that gave them.
            tokens: in the targets of the batch, so that it is of the size of the CTC loss.
        """
        self._model.to(logits.device)
        with torch.no_grad():
            wanted = ctc_logits(self._model, batch).float().log_softmax(-1)
        return divergence(wanted, logits.float().log_softmax(-1), batch.frames, tokens)

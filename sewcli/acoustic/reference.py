"""The acoustic model run by transformers: the reference every faster path is held against."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.checkpoint import Checkpoint, check_names
from sewcli.acoustic.failures import weights_failed
from sewcli.acoustic.files import damaged
from sewcli.acoustic.forward import class_logits, ctc_logits, encode, hidden_layers, recorded_attentions
from sewcli.acoustic.model import Segment, Underway
from sewcli.acoustic.running import RunningModel
from sewcli.chunking import PAIR
from sewcli.json_files import one_line

_FORWARD = {"ctc": ctc_logits, "classification": class_logits, "features": encode}


class TransformersModel(RunningModel):
    """A model of the transformers library behind the interface `AcousticModel`.

    Args:
        checkpoint: a directory that `inspect` has passed.
        device: where it runs; a card by its number.
        dtype: of weights and activations; the moments and the logits are float32 in any case.
    """

    engine = "reference"
    attends = False

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self._model = _load(checkpoint, dtype, device).eval()
        config = self._model.config
        labels: tuple[str, ...] = ()
        if checkpoint.task == "classification":
            labels = tuple(one_line(str(config.id2label[i])) for i in range(config.num_labels))
        widths = {"ctc": config.vocab_size, "classification": len(labels), "features": config.hidden_size}
        super().__init__(checkpoint, labels, int(widths[checkpoint.task]), device, dtype, dtype)
        self.layers = int(config.num_hidden_layers)
        #: weights of the batch that runs, and of those before it in this call
        self._of_batch: list[NDArray[np.float32]] = []
        self._attentions: list[NDArray[np.float32]] = []
        bias = self._model.lm_head.bias.detach() if checkpoint.task == "ctc" else torch.empty(0)
        self.head_bias = bias.float().cpu().numpy()

    def forward(self, batch: Batch) -> torch.Tensor:
        """See `RunningModel`; hidden states (B, frames, hidden) for features."""
        if not self.attends:
            return self._forward(batch)
        with recorded_attentions(self._model) as recorded:
            output = self._forward(batch)
        # a layer at a time: they are most of what such a run holds
        layers = [layer.float().cpu().numpy() for layer in recorded]
        self._of_batch = [
            np.stack([layer[row, :, :states, :states] for layer in layers])
            for row, states in enumerate(frames // PAIR for frames in batch.frame_counts)
        ]
        return output

    def _forward(self, batch: Batch) -> torch.Tensor:
        if self._layer is None:
            return _FORWARD[self.checkpoint.task](self._model, batch)
        return hidden_layers(self._model, batch)[self._layer].repeat_interleave(PAIR, dim=1)

    def __call__(self, segments: Sequence[Segment]) -> list[NDArray[np.float32]]:
        """See `RunningModel`."""
        self._attentions = []  # of a call that went wrong
        return super().__call__(segments)

    def _begin(self, segments: Sequence[Segment]) -> Underway:
        started = super()._begin(segments)
        # halves of a batch that does not fit the memory come one after the other
        self._attentions += self._of_batch
        self._of_batch = []
        return started

    def take_attentions(self) -> list[NDArray[np.float32]]:
        """See `sewcli.acoustic.model.Attending`."""
        taken, self._attentions = self._attentions, []
        return taken

    def giving(self, layer: int | None, *, attentions: bool = False) -> Self:
        """See `RunningModel`."""
        other = super().giving(layer, attentions=attentions)
        other.attends, other._attentions = attentions, []
        if attentions:
            # the fused implementations never hold the weights
            self._model.set_attn_implementation("eager")
        return other


def _load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Any:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    model_class = getattr(transformers, checkpoint.class_name)
    try:
        model, report = model_class.from_pretrained(
            checkpoint.directory, dtype=dtype, output_loading_info=True, local_files_only=True
        )
    except Exception as error:
        # whatever a bad configuration or a damaged file makes transformers raise
        if failure := weights_failed(checkpoint.directory, device, error):
            raise failure from error
        raise damaged(checkpoint.directory, error) from error
    check_names(checkpoint, report["missing_keys"], report["unexpected_keys"])
    try:
        return model.to(device)
    except RuntimeError as error:
        if failure := weights_failed(checkpoint.directory, device, error):
            raise failure from error
        raise

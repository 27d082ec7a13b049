"""The acoustic model run by the fast engine."""

from __future__ import annotations

import numpy as np
import torch

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.checkpoint import Checkpoint, label_names
from sewcli.acoustic.engine.allocator import keep_freed_memory
from sewcli.acoustic.engine.config import EngineConfig
from sewcli.acoustic.engine.grid import compiled_for, on_grid
from sewcli.acoustic.engine.heads import ClassificationHead, CtcHead, NoHead
from sewcli.acoustic.engine.int8 import find_products
from sewcli.acoustic.engine.operators import find_operators
from sewcli.acoustic.engine.sew import Sew
from sewcli.acoustic.engine.sew_d import SewD
from sewcli.acoustic.engine.weights import Weights
from sewcli.acoustic.lanes import lane_count
from sewcli.acoustic.running import RunningModel
from sewcli.chunking import PAIR, frame_count


class FastModel(RunningModel):
    """A SEW or SEW-D network in plain torch behind the interface `AcousticModel`.

    Args:
        checkpoint: a directory that `inspect` has passed.
        config: its configuration, from `engine_config`.
        device: where it runs; a card by its number.
        dtype: of weights and activations; moments, the first convolution and the logits are float32
            in any case.
        compiled: compile what gains by it, on a GPU.
        int8: linear layers multiply in 8 bits, on a CPU; `dtype` is that of what lies between them.

    Raises:
        ModelError: weights are missing, damaged or of another shape.
    """

    engine = "fast"

    @torch.inference_mode()
    def __init__(
        self,
        checkpoint: Checkpoint,
        config: EngineConfig,
        device: torch.device,
        dtype: torch.dtype,
        *,
        compiled: bool = False,
        int8: bool = False,
    ) -> None:
        labels = label_names(checkpoint.config) if checkpoint.task == "classification" else ()
        widths = {"ctc": config.columns, "classification": len(labels), "features": config.hidden}
        # the samples stay float32: the first convolution reads them
        super().__init__(checkpoint, labels, widths[checkpoint.task], device, dtype, torch.float32)
        if device.type == "cpu" and (config.family == "sew-d" or int8):
            keep_freed_memory()
        operators = find_operators(device, dtype, compiled=compiled)
        if int8:
            operators = operators.in_int8(find_products(dtype))
            self.dtype = "int8"
        self._by_matrix = operators.by_matrix
        self._compiled = operators.compiled and config.family == "sew-d"
        weights = Weights(checkpoint, device, dtype)
        self.layers = config.layers
        encoder = Sew if config.family == "sew" else SewD
        self._encoder = encoder(config, weights, operators)
        self.head_bias = np.empty(0, dtype=np.float32)
        self._head: CtcHead | ClassificationHead | NoHead
        match checkpoint.task:
            case "ctc":
                self._head = head = CtcHead(config, weights)
                self.head_bias = head.bias.cpu().numpy()
            case "classification":
                self._head = ClassificationHead(config, weights, operators, len(labels))
            case _:
                self._head = NoHead()
        weights.finish()

    @property
    def lanes(self) -> int:
        """See `RunningModel`."""
        return lane_count() if self._device.type == "cpu" else 1

    def least_frames(self, samples: int) -> int:
        """See `RunningModel`."""
        if self._by_matrix:
            return on_grid(frame_count(samples))
        return compiled_for(frame_count(samples)) if self._compiled else PAIR

    def forward(self, batch: Batch) -> torch.Tensor:
        """See `RunningModel`."""
        return self._head(self._encoder(batch, self._layer), batch)

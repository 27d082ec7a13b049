"""What every engine does around its forward pass: batches, lack of memory, logits that are numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.checkpoint import Checkpoint
from sewcli.acoustic.model import Segment
from sewcli.chunking import MIN_SAMPLES, SAMPLE_RATE, kept_frame_count
from sewcli.errors import DeviceError, ModelError


class RunningModel(ABC):
    """An `AcousticModel` whose subclass supplies the forward pass.

    Attributes:
        engine: name of the engine.
        head_bias: see `AcousticModel`; the subclass sets it.

    Args:
        checkpoint: a directory that `inspect` has passed.
        labels: class names in the order of the logits (classification).
        columns: width of the logits.
        device: where batches run.
        dtype: of weights and activations.
    """

    engine: str
    head_bias: NDArray[np.float32]

    def __init__(
        self,
        checkpoint: Checkpoint,
        labels: tuple[str, ...],
        columns: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.checkpoint = checkpoint
        self.labels = labels
        self.columns = columns
        self.device = str(device)
        self.dtype = str(dtype).removeprefix("torch.")
        self._device = device
        self._dtype = dtype

    @abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits of a batch: (B, frames, columns), or (B, columns) for classification."""

    @torch.inference_mode()
    def __call__(self, segments: Sequence[Segment]) -> list[NDArray[np.float32]]:
        """See `AcousticModel`; a batch that does not fit the memory is run in halves."""
        try:
            return self._run(segments)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(segments) == 1:
                seconds = segments[0].samples.size / SAMPLE_RATE
                raise DeviceError(
                    f"out of memory on {self.device} for one piece of {seconds:.1f} s",
                    hint="use shorter pieces (--chunk), --dtype bfloat16 or another --device",
                ) from error
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        half = len(segments) // 2
        return self(segments[:half]) + self(segments[half:])

    def _run(self, segments: Sequence[Segment]) -> list[NDArray[np.float32]]:
        if any(segment.samples.size < MIN_SAMPLES for segment in segments):
            raise ValueError(f"a segment has fewer than {MIN_SAMPLES} samples")
        batch = make_batch(
            [segment.samples for segment in segments],
            [segment.statistics for segment in segments],
            normalize=self.checkpoint.normalize,
        )
        logits = self.forward(batch).float().cpu().numpy()
        rows = (
            list(logits)
            if self.labels
            else [
                row[: kept_frame_count(segment.samples.size)]
                for row, segment in zip(logits, segments, strict=True)
            ]
        )
        if not all(np.isfinite(row).all() for row in rows):
            raise ModelError(
                f"{self.checkpoint.directory} gives logits that are not numbers in {self.dtype}",
                hint="use --dtype float32; if it is that already, the weights are damaged",
                code="not_finite",
            )
        return rows


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation has failed; the allocator of the CPU raises a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

"""The acoustic model run by transformers: the reference every faster path is held against."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.checkpoint import HEADS, Checkpoint, damaged, inspect
from sewcli.acoustic.forward import class_logits, ctc_logits
from sewcli.acoustic.model import Segment
from sewcli.chunking import MIN_SAMPLES, SAMPLE_RATE, kept_frame_count
from sewcli.errors import DeviceError, ModelError, UsageError
from sewcli.hub import LocalModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TransformersModel:
    """A model of the transformers library behind the interface `AcousticModel`.

    Args:
        checkpoint: a directory that `inspect` has passed.
        device: "cpu", "cuda", "cuda:1", "mps" ...
        dtype: of weights and activations; the moments and the logits are float32 in any case.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.checkpoint = checkpoint
        self.device = str(device)
        self.dtype = str(dtype).removeprefix("torch.")
        self._device = device
        self._dtype = dtype
        self._model = _load(checkpoint, dtype, device).eval()
        config = self._model.config
        self.labels = (
            tuple(str(config.id2label[i]) for i in range(config.num_labels))
            if checkpoint.task == "classification"
            else ()
        )
        self.columns = len(self.labels) or int(config.vocab_size)
        bias = torch.empty(0) if self.labels else self._model.lm_head.bias.detach()
        self.head_bias: NDArray[np.float32] = bias.float().cpu().numpy()

    @torch.inference_mode()
    def __call__(self, segments: Sequence[Segment]) -> list[NDArray[np.float32]]:
        """See `AcousticModel`; a batch that does not fit the memory is run in halves."""
        try:
            return self._run(segments)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
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
        ).to(self._device, self._dtype)
        forward = class_logits if self.labels else ctc_logits
        logits = forward(self._model, batch).float().cpu().numpy()
        if not np.isfinite(logits).all():
            raise ModelError(
                f"{self.checkpoint.directory} gives logits that are not numbers in {self.dtype}",
                hint="use --dtype float32; if it is that already, the weights are damaged",
                code="not_finite",
            )
        if self.labels:
            return list(logits)
        return [
            row[: kept_frame_count(segment.samples.size)]
            for row, segment in zip(logits, segments, strict=True)
        ]


def load_model(
    local: LocalModel, task: str, *, device: str = "auto", dtype: str = "auto", threads: int | None = None
) -> TransformersModel:
    """Load a model for `task` ("ctc" or "classification").

    Args:
        local: where its files are.
        device: "auto" takes CUDA where there is one.
        dtype: "auto" is float32.
        threads: CPU threads of the network; torch's own choice when None.

    Raises:
        ModelError: the directory does not hold such a model.
        DeviceError: the device is not there.
        UsageError: an unknown device or dtype.
    """
    checkpoint = inspect(local.directory, task)
    if threads is not None:
        torch.set_num_threads(threads)
    # float32 means float32: by default cuDNN convolves in TF32, which keeps three digits
    torch.backends.cudnn.allow_tf32 = False
    if dtype != "auto" and dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}", hint=f"one of auto, {', '.join(DTYPES)}")
    return TransformersModel(checkpoint, find_device(device), DTYPES.get(dtype, torch.float32))


def find_device(name: str) -> torch.device:
    """The torch device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        DeviceError: it is not there. UsageError: there is no such kind of device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}", hint="auto, cpu, cuda, cuda:N or mps") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"sew does not run on {name!r}", hint="auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"torch sees {torch.cuda.device_count()} CUDA devices"
        raise DeviceError(f"no device {name}: {found}", hint="use --device cpu", code="no_device")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("no device mps on this machine", hint="use --device cpu", code="no_device")
    return device


def _is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation has failed; the allocator of the CPU raises a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


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
        model = model.to(device)
    except Exception as error:
        # whatever a bad configuration or a damaged file makes transformers raise
        if _is_out_of_memory(error):
            raise DeviceError(f"not enough memory for the weights of {checkpoint.directory}") from error
        raise damaged(checkpoint.directory, error) from error
    _check_loaded(checkpoint, report["missing_keys"], report["unexpected_keys"])
    return model


def _check_loaded(checkpoint: Checkpoint, missing: set[str], unexpected: set[str]) -> None:
    """Refuse weights that are not there, and weights the configuration has no place for."""
    # only training uses the embedding that SpecAugment puts in place of masked frames
    missing = {name for name in missing if not name.endswith("masked_spec_embed")}
    if missing:
        raise ModelError(
            f"{checkpoint.directory} lacks weights of {checkpoint.class_name}: {_some(missing)}",
            hint="without them the model would answer at random; use a complete checkpoint",
            code="no_head" if HEADS[checkpoint.task] in missing else "damaged_model",
        )
    # pre-training leaves a quantizer and projections behind, which nothing here needs
    unexpected = {
        name
        for name in unexpected
        if name.startswith(("sew.", "sew_d.")) and not name.endswith("masked_spec_embed")
    }
    if unexpected:
        raise ModelError(
            f"{checkpoint.directory}: its config.json has no place for {_some(unexpected)}",
            hint="the configuration belongs to another model; fetch both again",
            code="damaged_model",
        )


def _some(names: set[str]) -> str:
    """The first few of many names."""
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"

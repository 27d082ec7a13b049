"""What goes wrong on a device: no memory is left, or it computes no more."""

from __future__ import annotations

from pathlib import Path

import torch

from sewcli.acoustic.cuda import first_line
from sewcli.errors import DeviceError

#: what the allocators say (that of CUDA through torch.compile, which wraps its error, or in a container that
#: hides how much memory there is), CUDA itself (for pinned memory, and while it starts), cuBLAS, cuDNN (the
#: last of four is all that a convolution says which finds no room for its work) and Triton
_NO_MEMORY = (
    "can't allocate memory",
    "CUDA out of memory",
    "NVML_SUCCESS == r",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "unable to find an engine to execute this computation",
    "Triton Error [CUDA]: out of memory",
)


def weights_failed(directory: Path, device: torch.device, error: Exception) -> DeviceError | None:
    """The error for a model whose weights did not go to a device, which had no memory or computes no more.

    None where it is neither.
    """
    if is_out_of_memory(error):
        return DeviceError(
            f"not enough memory for the weights of {directory}",
            hint="use a smaller model, --dtype bfloat16 or another --device",
        )
    return device_failed(str(device), error) if is_of_device(error) else None


def device_failed(device: str, error: Exception) -> DeviceError:
    """The error for a device that no longer computes, as a card that was lost or a kernel that failed."""
    return DeviceError(
        f"{device} failed: {first_line(error)}",
        hint="run again for what is left; if it fails there too, see `sew doctor`, or use --device cpu",
    )


def is_of_device(error: Exception) -> bool:
    """Whether a device computes no more: CUDA has an error of its own for that, its libraries have none."""
    if is_out_of_memory(error):
        return False
    told = isinstance(error, RuntimeError) and str(error).startswith(("CUDA error", "cuDNN error"))
    return told or isinstance(error, torch.AcceleratorError)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation has failed; only the allocator of CUDA has an error of its own for that."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(told in str(error) for told in _NO_MEMORY)

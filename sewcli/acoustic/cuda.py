"""What torch does on CUDA by default and not here."""

from __future__ import annotations

import torch


def settle_cuda() -> None:
    """Have float32 be float32, and attention take the kernels that are made for any length.

    By default cuDNN convolves in TF32, which keeps three digits, and some installations multiply in it too.
    In 16 bits torch prefers the attention of cuDNN on Hopper, which plans anew for every size of a batch and
    has given gradients that are no numbers for some lengths (pytorch issue 196678); the flash and
    memory-efficient kernels do neither.
    """
    # both ways torch has of saying so: where a program has said something else in one of them, the other
    # would raise for whoever asks it
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.enable_cudnn_sdp(False)
    # sums of 16-bit products stay float32 until they are whole
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


def multiplies_bfloat16_on(card: torch.device) -> bool:
    """Whether a card has bfloat16; others emulate it, slowly."""
    with torch.cuda.device(card):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def fault_of(device: torch.device) -> str:
    """Why a card that the driver lists cannot compute, in a line; "" where it can.

    A build of torch has kernels for some generations of cards alone, a driver may be too old for it, and a
    card may belong to another process.
    """
    try:
        torch.zeros(1, device=device).add_(1).item()
    # an AssertionError where torch was built without CUDA, and RuntimeErrors of several kinds
    except Exception as error:
        return first_line(error)
    return ""


def first_line(error: BaseException) -> str:
    """What an error says, in a line; CUDA appends advice for who debugs kernels."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

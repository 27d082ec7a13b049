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
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.enable_cudnn_sdp(False)

"""How much audio fits the memory of a device at once: as planned, and as it turned out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from sewcli.acoustic.checkpoint import PUBLISHED_STRIDES
from sewcli.chunking import SAMPLE_RATE

#: more padded audio a batch gains nothing: the launching of kernels is a small part by then
MOST_SECONDS = 960.0
_LEAST_SECONDS = 20.0
#: where the device does not say what is free (mps)
_UNASKED = 240.0
#: memory is planned for so many tensors of the size of the first convolution's output: the peak was that of
#: 3.5 on the CPU for sew-tiny, sew-mid and sew-d-tiny in float32 (2.9 MB a second of audio), less in bfloat16
_LAYERS_ALIVE = 8
#: of what is free; the rest is for longer pieces, whose attention grows with the square, and for others
_SHARE = 0.5
#: of the first convolution, where config.json does not say
_CHANNELS = (64,)
#: full batches that fit before one twice as large is tried again
_BEFORE_MORE = 32


class Room:
    """How much padded audio a batch may have, learned from what fitted and what did not.

    What did not fit once may fit later, where another program had its share of the device. Trying it costs a
    batch, so that after each failure twice as many have to fit before.

    Attributes:
        seconds: of padded audio; no limit until a batch did not fit.
    """

    def __init__(self) -> None:
        self.seconds = math.inf
        self._full = 0
        self._before_more = _BEFORE_MORE

    def fitted(self, seconds: float) -> None:
        """Count a batch that ran; only one of more than half of what is allowed says anything."""
        if seconds <= self.seconds / 2:
            return
        self._full += 1
        if self._full >= self._before_more:
            self._full = 0
            self.seconds *= 2

    def overflowed(self, seconds: float) -> None:
        """Allow half of what did not fit."""
        self.seconds = min(self.seconds, seconds / 2)
        self._full = 0
        self._before_more *= 2


def affordable_seconds(free: int, config: Mapping[str, Any]) -> float:
    """Padded audio seconds of a batch for so many free bytes; what does not fit after all is halved.

    Args:
        free: bytes.
        config: of the model, of which `conv_dim` and `conv_stride` count.
    """
    return min(MOST_SECONDS, max(_LEAST_SECONDS, _SHARE * free / bytes_per_second(config)))


def bytes_per_second(config: Mapping[str, Any]) -> float:
    """Memory beside the weights for a second of audio, in float32, generously."""
    stride = config.get("conv_stride", PUBLISHED_STRIDES)[0]
    channels = config.get("conv_dim", _CHANNELS)[0]
    return float(SAMPLE_RATE / stride * channels * 4 * _LAYERS_ALIVE)


def device_seconds(device: str, config: Mapping[str, Any]) -> float:
    """The batch size that suits a device: 0, every chunk alone, on a CPU, where a batch is no faster."""
    kind = torch.device(device)
    if kind.type == "cuda":
        free, _ = torch.cuda.mem_get_info(kind)
        # what torch holds for the next tensors counts as taken there
        free += torch.cuda.memory_reserved(kind) - torch.cuda.memory_allocated(kind)
        return affordable_seconds(free, config)
    return 0.0 if kind.type == "cpu" else _UNASKED

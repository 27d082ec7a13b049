"""Linear layers in 8 bits: weights rounded by output channel, values by row, products of integers.

A row is a frame or a state, 20 or 40 ms of sound. Each has a scale of its own ("vector-wise
quantization", arXiv 2208.07339, section 2), which is found as it comes, so that it gives the same whatever
stands beside it, and no model has to be prepared. One scale for all rows of a product raised the word error
rate of a model on 115 clips from 82.8 to 91.8 %; by row it stays what it is in float32.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.nn import functional as F

from sewcli.acoustic.processor import multiplies_bfloat16

_log = logging.getLogger("sewcli")

#: what the greatest number of a row, or of the weights of a channel, becomes; and what zero does, because the
#: products of processors take unsigned values
_MOST, _ZERO = 127, 128
#: of a row or a channel of zeros, instead of dividing by their greatest number
_LEAST = 1e-30
#: the 15 bits of a bfloat16 beside its sign, which are ordered as the numbers are
_MAGNITUDE = 0x7FFF
#: greatest error relative to products in float32, which are exact but for the scales, as the sums are small
_TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 1e-2}


def values_dtype() -> torch.dtype:
    """Of what lies between the layers: bfloat16 where the processor multiplies it, else float32."""
    return torch.bfloat16 if multiplies_bfloat16() else torch.float32


class Int8Layer:
    """A linear layer, with erf-GELU if asked.

    Args:
        products: that it is made of.
        weight: (outputs, inputs).
        bias: (outputs,), in the dtype of the values.
        gelu: apply GELU.
    """

    def __init__(
        self, products: Int8Products, weight: torch.Tensor, bias: torch.Tensor, *, gelu: bool
    ) -> None:
        weight = weight.float()
        scales = (weight.abs().amax(dim=1) / _MOST).clamp(min=_LEAST)
        rounded = (weight / scales[:, None]).round().to(torch.int8)
        self._multiply = products(rounded, scales, bias.dtype)
        self._bias = bias
        self._gelu = gelu

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """(..., inputs) -> (..., outputs)."""
        largest = _largest(values).clamp_(min=_LEAST)
        # in float32: bfloat16 could not tell 127 numbers apart, and takes 1.7 times as long
        rounded = torch.mul(values.float(), _MOST / largest).round_().to(torch.int8)
        # adds _ZERO: for the bits of an int8 that is to turn the first
        unsigned = rounded.view(torch.uint8).bitwise_xor_(_ZERO)
        result = torch.addcmul(self._bias, self._multiply(unsigned), (largest / _MOST).to(values.dtype))
        return F.gelu(result) if self._gelu else result


def _largest(values: torch.Tensor) -> torch.Tensor:
    """The greatest magnitude of each row: (..., 1), float32."""
    if values.dtype == torch.bfloat16:
        # compared as integers, in 0.3 of the time
        largest = values.contiguous().view(torch.int16).bitwise_and(_MAGNITUDE).amax(dim=-1, keepdim=True)
        return largest.view(torch.bfloat16).float()
    return torch.maximum(values.amax(dim=-1, keepdim=True), values.amin(dim=-1, keepdim=True).neg_()).float()


class Int8Products(Protocol):
    """What multiplies by a weight in 8 bits."""

    def __call__(
        self, weight: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """The product with a weight: (..., inputs) uint8, of which `_ZERO` is zero, to (..., outputs).

        Args:
            weight: (outputs, inputs), int8.
            scales: of the outputs, (outputs,).
            dtype: of the outputs.
        """


class OneDnnProduct:
    """A product of oneDNN, through operators of torch that are not public."""

    def __init__(self, weight: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype) -> None:
        self._weight = torch.ops.onednn.qlinear_prepack(weight, None)
        self._scales = scales
        self._zeros = torch.zeros(len(scales), dtype=torch.int32)
        self._dtype = dtype
        self._multiply: Any = torch.ops.onednn.qlinear_pointwise.default

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """See `Int8Products`."""
        # scale and zero of the values; no bias; scale, zero and dtype of the result; nothing after it
        return self._multiply(  # type: ignore[no-any-return]
            values,
            1.0,
            _ZERO,
            self._weight,
            self._scales,
            self._zeros,
            None,
            1.0,
            0,
            self._dtype,
            "none",
            [],
            "",
        )


class PublicProduct:
    """The same in float32 with public functions, to what float32 makes of great sums, in its time."""

    def __init__(self, weight: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype) -> None:
        self._weight = weight.float()
        self._scales = scales
        self._dtype = dtype

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """See `Int8Products`."""
        return (F.linear(values.float() - _ZERO, self._weight) * self._scales).to(self._dtype)


@functools.cache
def find_products(dtype: torch.dtype) -> Int8Products:
    """The fastest products that work for values of a dtype; tried once in a process."""
    if not agrees(OneDnnProduct, dtype):
        _log.warning(
            "no fast products of 8 bits on this processor, or in this torch: --dtype int8 takes the time of "
            "float32 or more"
        )
        return PublicProduct
    return OneDnnProduct


@torch.inference_mode()
def agrees(products: Int8Products, dtype: torch.dtype) -> bool:
    """Whether products give what public functions do.

    Without the instructions for it (VNNI) the sums of two products of the greatest numbers overflow.
    """
    generator = torch.Generator().manual_seed(0)
    # sizes of which no block of registers is a divisor
    values = torch.randint(0, 256, (2, 19, 70), generator=generator, dtype=torch.uint8)
    weight = torch.randint(-_MOST, _MOST + 1, (37, 70), generator=generator, dtype=torch.int8)
    values[0, 0], weight[0] = 255, _MOST
    scales = torch.rand(37, generator=generator) + 0.5
    expected = PublicProduct(weight, scales, dtype)(values).float()
    try:
        got = products(weight, scales, dtype)(values)
    # whatever an operator of another version or another build raises
    except Exception as error:
        _log.debug("no products of 8 bits from oneDNN: %s", error)
        return False
    if got.shape != expected.shape:
        return False
    return float((got.float() - expected).abs().max()) <= _TOLERANCE[dtype] * float(expected.abs().max())

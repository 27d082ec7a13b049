"""Matrix products: oneDNN through private operators of torch where they work, public ones elsewhere.

`torch.nn.functional.linear` calls MKL for float32 on x86. oneDNN is faster on the processors that
MKL does not favour, takes weights packed in advance and applies bias and GELU while the result is
in registers: a layer of sew-tiny with GELU takes 1.2 times less in float32 and 1.1 in bfloat16 on a
Zen 4, 1.9 to 2.2 times less in float32 where MKL is further from what the processor can do. On a Zen 3 it
does not pay but for the convolutions, whose windows MKL would have copied. torch
reaches it through operators of torch.compile that are not public. They are tried once against the
public ones; where they are missing, fail or give other numbers, and on every device but the CPU,
the public ones do the work.
"""

from __future__ import annotations

import functools
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import Any, ParamSpec, Self

import torch
from torch.nn import functional as F

from sewcli.acoustic.engine.attention import Products
from sewcli.acoustic.engine.compiled import Compiled
from sewcli.acoustic.engine.int8 import Int8Layer, Int8Products
from sewcli.acoustic.processor import described

P = ParamSpec("P")

_log = logging.getLogger("sewcli")

#: greatest error of an operator relative to the public one, which rounds as it does
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
#: family of the processors of AMD that compute 512 bits at once (Zen 5), of which MKL uses half: two cores
#: reach 200 GFLOP/s in the products of attention, and 400 by oneDNN
_WIDE_AMD = 26
#: states a thread (150 are 6 s) from which attention takes its products head by head by oneDNN: 0.85 of the
#: time on one thread with 150 and on two with 300, 0.66 to 0.7 with 450
_LONG = 150


class Operators(ABC):
    """The matrix products of a network.

    Attributes:
        by_matrix: whether a network runs fastest one matrix after the other, as small as the cache,
            and not all rows and heads at once.
        fused_attention: whether torch's fused attention then is faster than the products it is made of.
        fused_with_bias: the same of attention whose scores have a bias.
        compiled: whether `fused` compiles, which wants the same form of all tensors in all batches.
        gathers: whether attention of all rows and heads at once gathers the scores of positions, or shifts
            them.
        int8: what layers multiply with in 8 bits, or None.
    """

    by_matrix: bool
    compiled: bool
    gathers: bool
    fused_attention: bool
    fused_with_bias: bool
    int8: Int8Products | None = None

    @abstractmethod
    def pack(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight (outputs, inputs) in the form `linear` takes."""

    @abstractmethod
    def linear(
        self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool = False
    ) -> torch.Tensor:
        """(..., inputs) times a packed weight plus bias, through erf-GELU if asked: (..., outputs)."""

    def layer(
        self, weight: torch.Tensor, bias: torch.Tensor, *, gelu: bool = False
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """A linear layer of a weight (outputs, inputs): by `linear`, or in 8 bits."""
        if self.int8 is not None:
            return Int8Layer(self.int8, weight, bias, gelu=gelu)
        packed = self.pack(weight)
        return lambda values: self.linear(values, packed, bias, gelu=gelu)

    def in_int8(self, products: Int8Products) -> Self:
        """The same with layers that multiply in 8 bits."""
        other = copy(self)
        other.int8 = products
        return other

    @abstractmethod
    def products(self, count: int) -> Products:
        """How attention over `count` states takes its products, where it is not fused."""

    @abstractmethod
    def fused(self, function: Callable[P, torch.Tensor]) -> Callable[P, torch.Tensor]:
        """A function of tensors, compiled where that was asked for."""


class PublicOperators(Operators):
    """Public functions of torch, on any device.

    Args:
        compiled: give `fused` functions to torch.compile.
        gathers: see `Operators`; what is compiled gathers.
    """

    by_matrix = False
    fused_attention = True
    fused_with_bias = True

    def __init__(self, *, compiled: bool = False, gathers: bool = True) -> None:
        self.compiled = compiled
        self.gathers = gathers or compiled
        #: one for all layers of a network
        self._fused: dict[Any, Any] = {}

    def pack(self, weight: torch.Tensor) -> torch.Tensor:
        """See `Operators`."""
        # a copy, aligned: see `Weights`
        return weight.clone(memory_format=torch.contiguous_format)

    def linear(
        self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool = False
    ) -> torch.Tensor:
        """See `Operators`."""
        result = F.linear(values, weight, bias)
        return F.gelu(result) if gelu else result

    def products(self, count: int) -> Products:
        """See `Operators`."""
        del count
        return Products()

    def fused(self, function: Callable[P, torch.Tensor]) -> Callable[P, torch.Tensor]:
        """See `Operators`."""
        if not self.compiled:
            return function
        if function not in self._fused:
            self._fused[function] = Compiled(function)
        return self._fused[function]  # type: ignore[no-any-return]


class OneDnnOperators(Operators):
    """oneDNN on the CPU.

    Args:
        namespace: torch.ops.mkldnn, or what stands for it.
        dtype: of weights and values.

    Attributes:
        head_products: those of attention by oneDNN in float32, where MKL is slower for long rows.
    """

    by_matrix = True
    compiled = False
    gathers = True

    def __init__(self, namespace: Any, dtype: torch.dtype) -> None:
        # the fused function multiplies blocks with MKL: by products the attention of SEW on a Zen 4 takes as
        # long in float32 and 0.55 to 0.7 of the time in bfloat16; for that of SEW-D see
        # `disentangled_attention_by_products`
        amd = described("vendor_id") == "AuthenticAMD"
        wide = amd and int(described("cpu family") or 0) >= _WIDE_AMD
        self.fused_with_bias = not amd
        self.fused_attention = not amd or (dtype == torch.float32 and not wide)
        #: of short rows, all heads together, and of long ones
        self._short = Products(by_size=dtype == torch.bfloat16)
        self.head_products = Products(self._multiply_by_head, by_size=True, by_head=True)
        self._long = self.head_products if wide and dtype == torch.float32 else self._short
        # with AVX2 alone oneDNN takes half as long for GELU as for the product: by torch, after it, a network
        # in float32 takes 0.86 to 0.95 of the time on a Zen 3
        self._fuses_gelu = dtype != torch.float32 or torch.backends.cpu.get_cpu_capability() != "AVX2"
        self._pack = namespace._reorder_linear_weight
        # the overload, not the packet: choosing among overloads costs 5 us a call
        self._linear = namespace._linear_pointwise.default

    def pack(self, weight: torch.Tensor) -> torch.Tensor:
        """See `Operators`."""
        return self._pack(weight.contiguous())  # type: ignore[no-any-return]

    def linear(
        self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool = False
    ) -> torch.Tensor:
        """See `Operators`."""
        fused = gelu and self._fuses_gelu
        result = self._linear(values, weight, bias, "gelu" if fused else "none", [], "none" if fused else "")
        if gelu and not fused:
            torch.ops.aten.gelu_.default(result)
        return result  # type: ignore[no-any-return]

    def without_heads(self) -> None:
        """Take no product of attention by head."""
        self._long = self._short

    def _multiply_by_head(
        self, left: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """See `attention.Multiply`: head after head, with `right` as a weight that is not packed."""
        heads = [self.linear(one, other, None) for one, other in zip(left, right, strict=True)]
        product = heads[0][None] if len(heads) == 1 else torch.stack(heads)
        return product if bias is None else product.add_(bias)

    def products(self, count: int) -> Products:
        """See `Operators`."""
        return self._long if count >= _LONG * torch.get_num_threads() else self._short

    def fused(self, function: Callable[P, torch.Tensor]) -> Callable[P, torch.Tensor]:
        """See `Operators`; compiled for a CPU, the attention of SEW-D is 0.9 to 1.0 times as fast."""
        return function


def find_operators(device: torch.device, dtype: torch.dtype, *, compiled: bool = False) -> Operators:
    """The fastest operators that work for a device and a dtype, the same whenever they are asked for.

    Args:
        device: where the network runs.
        dtype: of its weights.
        compiled: compile what gains by it, on a GPU.
    """
    return _found(device, dtype, compiled and device.type != "cpu")


@functools.cache
def _found(device: torch.device, dtype: torch.dtype, compiled: bool) -> Operators:
    if device.type != "cpu" or dtype not in _TOLERANCE:
        return PublicOperators(compiled=compiled, gathers=device.type == "cpu")
    return try_private(getattr(torch.ops, "mkldnn", None), dtype)


def try_private(namespace: Any, dtype: torch.dtype) -> Operators:
    """oneDNN if its operators are there and agree with the public ones, else these.

    Args:
        namespace: torch.ops.mkldnn, or what stands for it.
        dtype: of weights and values.
    """
    try:
        private = OneDnnOperators(namespace, dtype)
        agree = _agree(private, dtype)
    # whatever an operator of another version or another build raises
    except Exception as error:
        _log.debug("no oneDNN operators for %s: %s", dtype, error)
        return PublicOperators()
    if not agree:
        _log.debug("the oneDNN operators for %s give other numbers than the public ones", dtype)
        return PublicOperators()
    if private.products(sys.maxsize).by_head and not _agree_unpacked(private, dtype):
        _log.debug("the oneDNN operators for %s take no weights that are not packed", dtype)
        private.without_heads()
    return private


@torch.inference_mode()
def _agree(private: Operators, dtype: torch.dtype) -> bool:
    public = PublicOperators()
    generator = torch.Generator().manual_seed(0)
    # sizes of which no block of registers is a divisor, and values on both sides of GELU's bend
    series, weight, bias = (
        torch.randn(shape, generator=generator).to(dtype) for shape in ((2, 196), (37, 70), (37,))
    )
    weight = weight / 4
    # windows that overlap, as those of the convolutions do
    values = series.as_strided((2, 19, 70), (196, 7, 1))
    results = [
        operators.linear(values, operators.pack(weight), own, gelu=gelu)
        for own, gelu in ((bias, False), (bias, True), (None, True))
        for operators in (private, public)
    ]
    pairs = zip(results[::2], results[1::2], strict=True)
    return all(_alike(got, expected, dtype) for got, expected in pairs)


@torch.inference_mode()
def _agree_unpacked(private: OneDnnOperators, dtype: torch.dtype) -> bool:
    """Whether products do without packing, as attention by head has them: of a matrix, and of a transpose."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(shape, generator=generator).to(dtype) for shape in ((1, 19, 70), (1, 37, 70)))
    expected = left @ right.transpose(1, 2)
    try:
        found = [
            private.head_products.multiply(left, other, None)
            for other in (right, right.transpose(1, 2).contiguous().transpose(1, 2))
        ]
    except Exception as error:
        _log.debug("no products of oneDNN without packing for %s: %s", dtype, error)
        return False
    return all(_alike(got, expected, dtype) for got in found)


def _alike(got: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> bool:
    if got.shape != expected.shape:
        return False
    error = float((got.float() - expected.float()).abs().max())
    return error <= _TOLERANCE[dtype] * float(expected.float().abs().max())

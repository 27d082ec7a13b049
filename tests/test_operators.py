"""The private operators of torch against the public ones, and what is known of the processor."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sewcli.acoustic import processor
from sewcli.acoustic.engine import operators
from sewcli.acoustic.engine.operators import OneDnnOperators, PublicOperators, try_private


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
class TestPrivateOperators:
    """They are those of one version of torch: missing, failing or changed, the public ones take over."""

    def test_missing(self, dtype):
        assert isinstance(try_private(None, dtype), PublicOperators)
        assert isinstance(try_private(SimpleNamespace(), dtype), PublicOperators)

    def test_failing(self, dtype):
        def fail(*arguments):
            raise RuntimeError("no such engine")

        failing = SimpleNamespace(
            _reorder_linear_weight=lambda weight: weight, _linear_pointwise=SimpleNamespace(default=fail)
        )
        assert isinstance(try_private(failing, dtype), PublicOperators)

    @pytest.mark.parametrize("wrong", ["no gelu", "no bias", "other shape", "not a number"])
    def test_giving_other_numbers(self, dtype, wrong, monkeypatch):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")

        def linear(values, weight, bias, activation, scalars, algorithm):
            result = torch.nn.functional.linear(values, weight, None if wrong == "no bias" else bias)
            if activation == "gelu" and wrong != "no gelu":
                result = torch.nn.functional.gelu(result)
            if wrong == "other shape":
                return result[..., None]
            return result * float("nan") if wrong == "not a number" else result

        def namespace(function):
            return SimpleNamespace(
                _reorder_linear_weight=lambda weight: weight,
                _linear_pointwise=SimpleNamespace(default=function),
            )

        assert isinstance(try_private(namespace(linear), dtype), PublicOperators)

    def test_agreeing(self, dtype):
        def linear(values, weight, bias, activation, scalars, algorithm):
            result = torch.nn.functional.linear(values, weight, bias)
            return torch.nn.functional.gelu(result) if activation == "gelu" else result

        agreeing = SimpleNamespace(
            _reorder_linear_weight=lambda weight: weight, _linear_pointwise=SimpleNamespace(default=linear)
        )
        assert isinstance(try_private(agreeing, dtype), OneDnnOperators)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_gelu_is_applied_once_and_in_float32_by_torch_where_that_is_faster(capability, dtype, monkeypatch):
    asked = []

    def linear(values, weight, bias, activation, scalars, algorithm):
        asked.append(activation)
        result = torch.nn.functional.linear(values, weight, bias)
        return torch.nn.functional.gelu(result) if activation == "gelu" else result

    namespace = SimpleNamespace(
        _reorder_linear_weight=lambda weight: weight, _linear_pointwise=SimpleNamespace(default=linear)
    )
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    chosen = OneDnnOperators(namespace, dtype)
    values, weight = torch.randn(2, 3, 5, dtype=dtype), torch.randn(4, 5, dtype=dtype)
    expected = PublicOperators().linear(values, weight, None, gelu=True)
    assert torch.equal(chosen.linear(values, weight, None, gelu=True), expected)
    apart = capability == "AVX2" and dtype == torch.float32
    assert asked == ["none" if apart else "gelu"]


@pytest.mark.parametrize("wrong", ["failing", "other numbers", None])
def test_attention_by_head_alone_needs_products_without_packing(monkeypatch, wrong):
    class Packed(torch.Tensor):
        """Stands for a weight that is packed."""

    def linear(values, weight, bias, activation, scalars, algorithm):
        if not isinstance(weight, Packed):
            if wrong == "failing":
                raise RuntimeError("not packed")
            if wrong == "other numbers":
                weight = 2 * weight
        weight = weight.as_subclass(torch.Tensor)
        result = torch.nn.functional.linear(values, weight, bias)
        return torch.nn.functional.gelu(result) if activation == "gelu" else result

    namespace = SimpleNamespace(
        _reorder_linear_weight=lambda weight: weight.as_subclass(Packed),
        _linear_pointwise=SimpleNamespace(default=linear),
    )
    for family, by_head in (("25", False), ("26", wrong is None)):
        known = {"vendor_id": "AuthenticAMD", "cpu family": family}
        monkeypatch.setattr(operators, "described", known.get)
        chosen = try_private(namespace, torch.float32)
        assert isinstance(chosen, OneDnnOperators)
        assert chosen.products(5000).by_head is by_head


@pytest.mark.parametrize(
    ("vendor", "family"), [("GenuineIntel", "6"), ("AuthenticAMD", "25"), ("AuthenticAMD", "26"), ("", "")]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_goes_by_products_where_mkl_is_slower(monkeypatch, vendor, family, dtype):
    namespace = SimpleNamespace(_reorder_linear_weight=None, _linear_pointwise=SimpleNamespace(default=None))
    monkeypatch.setattr(operators, "described", {"vendor_id": vendor, "cpu family": family}.get)
    chosen = OneDnnOperators(namespace, dtype)
    amd, wide = vendor == "AuthenticAMD", family == "26"
    assert chosen.fused_with_bias is not amd
    assert chosen.fused_attention is not (amd and (wide or dtype == torch.bfloat16))
    assert chosen.products(75).by_head is False
    assert chosen.products(750 * torch.get_num_threads()).by_head is (wide and dtype == torch.float32)
    assert chosen.products(75).by_size is (dtype == torch.bfloat16)


def test_without_linux_nothing_is_known_of_the_processor(monkeypatch):
    def missing(*_args, **_options):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    processor._lines.cache_clear()
    try:
        assert processor.described("vendor_id") == ""
        assert not processor.has_instructions("avx512_bf16")
    finally:
        processor._lines.cache_clear()


def test_flags_are_whole_words(monkeypatch):
    lines = "processor : 0\nflags\t\t: fpu avx512_bf16 sse\n\nprocessor : 1\nflags : amx_bf16\n"
    monkeypatch.setattr(Path, "read_text", lambda *_args, **_options: lines)
    processor._lines.cache_clear()
    try:
        assert processor.has_instructions("amx_bf16", "avx512_bf16")
        assert not processor.has_instructions("avx512", "amx_bf16")
    finally:
        processor._lines.cache_clear()

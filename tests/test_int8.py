"""Layers in 8 bits: the products of oneDNN against public ones, rows, and whole networks."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from networks import LENGTHS, outputs, random_model, reference, saved, utterance
from torch.nn import functional as F

from sewcli.acoustic.engine import fast, int8
from sewcli.acoustic.engine.int8 import Int8Layer, OneDnnProduct, PublicProduct, agrees, find_products
from sewcli.acoustic.engine.operators import find_operators
from sewcli.acoustic.load import load_model
from sewcli.chunking import kept_frame_count
from sewcli.errors import ModelError, UsageError
from sewcli.hub.fetching import fetch
from sewcli.registry import resolve

EXAMPLES = Path(__file__).parent.parent / "examples"
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@pytest.fixture(params=[OneDnnProduct, PublicProduct])
def products(request):
    """The products of oneDNN where the processor has them, and the public ones."""
    if not agrees(request.param, torch.float32):
        pytest.skip("this processor has no fast products of 8 bits")
    return request.param


@pytest.fixture
def tried_anew():
    """What was found before is forgotten, and so is what the test finds."""
    find_products.cache_clear()
    yield
    find_products.cache_clear()


def layer(products, dtype, inputs=70, outputs=37, *, gelu=False):
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(shape, generator=generator) for shape in ((outputs, inputs), (outputs,)))
    expected = lambda values: F.linear(values.float(), weight, bias)  # noqa: E731
    made = Int8Layer(products, weight.to(dtype), bias.to(dtype), gelu=gelu)
    return made, (lambda values: F.gelu(expected(values))) if gelu else expected


@DTYPES
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("shape", [(1, 0), (1, 1), (2, 5), (1, 750)])
def test_a_layer_is_near_what_it_rounds(products, dtype, gelu, shape):
    made, expected = layer(products, dtype, gelu=gelu)
    # rows of very different levels
    values = torch.randn(*shape, 70, generator=torch.Generator().manual_seed(1))
    values *= torch.logspace(-3, 3, shape[1])[:, None]
    got, wanted = made(values.to(dtype)), expected(values.to(dtype))
    assert got.dtype == dtype
    assert got.shape == wanted.shape
    error = (got.float() - wanted).norm(dim=-1) / wanted.norm(dim=-1)
    assert (error < 0.03).all()


@DTYPES
def test_a_row_gives_to_the_bit_what_it_gives_alone(products, dtype):
    made, _ = layer(products, dtype)
    values = (torch.randn(3, 50, 70) * torch.logspace(-3, 3, 50)[:, None]).to(dtype)
    together = made(values)
    for row in (0, 17, 49):
        assert torch.equal(made(values[1:2, row : row + 1])[0, 0], together[1, row])


@DTYPES
def test_zeros_and_what_is_no_number(products, dtype):
    made, expected = layer(products, dtype)
    values = torch.zeros(1, 3, 70, dtype=dtype)
    values[0, 1, 5], values[0, 2, 5] = torch.nan, torch.inf
    got = made(values)[0]
    torch.testing.assert_close(got[0].float(), expected(values[0, 0]), rtol=1e-2, atol=1e-2)
    assert not got[1:].isfinite().any()


@DTYPES
def test_windows_that_overlap_are_copied(products, dtype):
    made, _ = layer(products, dtype)
    values = torch.randn(2, 196).to(dtype).as_strided((2, 19, 70), (196, 7, 1))
    assert torch.equal(made(values), made(values.contiguous()))


@DTYPES
class TestTrying:
    """They are operators of one version of torch, and instructions of some processors."""

    @pytest.mark.parametrize("wrong", ["overflow", "shape", "not a number", "fails"])
    def test_what_gives_other_numbers_is_not_taken(self, dtype, wrong):
        def multiply(weight, scales, kind):
            right = PublicProduct(weight, scales, kind)

            def product(values):
                result = right(values)
                match wrong:
                    case "overflow":
                        return result.clamp(max=float(result.max()) / 2)
                    case "shape":
                        return result[..., None]
                    case "not a number":
                        return result * torch.nan
                raise RuntimeError("no such engine")

            return product

        assert agrees(PublicProduct, dtype)
        assert not agrees(multiply, dtype)

    def test_without_them_a_warning_and_the_public_ones(self, dtype, monkeypatch, tried_anew, caplog):
        def missing(*_):
            raise AttributeError("'_OpNamespace' 'onednn' object has no attribute 'qlinear_prepack'")

        monkeypatch.setattr(int8, "OneDnnProduct", missing)
        with caplog.at_level(logging.WARNING, "sewcli"):
            assert find_products(dtype) is PublicProduct
        assert "no fast products" in caplog.text


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
@DTYPES
class TestNetworks:
    @pytest.mark.parametrize(
        ("head", "task"),
        [("ForCTC", "ctc"), ("ForSequenceClassification", "classification"), ("Model", "features")],
    )
    def test_every_head_is_near_transformers(
        self, products, family, dtype, head, task, monkeypatch, tmp_path
    ):
        monkeypatch.setattr(int8, "values_dtype", lambda: dtype)
        monkeypatch.setattr(fast, "find_products", lambda _: products)
        model = random_model(family, head)
        network = load_model(saved(model, tmp_path), task, dtype="int8", device="cpu")
        assert (network.engine, network.dtype) == ("fast", "int8")
        for length in LENGTHS:
            row = utterance(length)
            expected = reference(model, row)
            if task != "classification":
                expected = expected[: kept_frame_count(row.size)]
            [got] = outputs(network, [row])
            assert got.shape == expected.shape
            error = np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2))
            assert 1e-4 < error < 0.1, length

    def test_neighbours_change_nothing(self, products, family, dtype, monkeypatch, tmp_path):
        if dtype == torch.bfloat16 and not find_operators(torch.device("cpu"), dtype).by_matrix:
            pytest.skip("without oneDNN rows are computed together, which bfloat16 shows")
        monkeypatch.setattr(int8, "values_dtype", lambda: dtype)
        monkeypatch.setattr(fast, "find_products", lambda _: products)
        network = load_model(
            saved(random_model(family, "ForCTC"), tmp_path), "ctc", dtype="int8", device="cpu"
        )
        rows = [utterance(length) for length in LENGTHS]
        for row, together in zip(rows, outputs(network, rows), strict=True):
            [alone] = outputs(network, [row])
            np.testing.assert_allclose(alone, together, atol=1e-3 * np.abs(alone).max())


@pytest.mark.parametrize("name", ["nano", "nano-d"])
def test_embedded_models_write_nearly_what_they_write_in_float32(name):
    samples, _ = soundfile.read(EXAMPLES / "speech/go-forward.wav", dtype="float32")
    local = fetch(resolve(name))
    exact, rounded = (load_model(local, "ctc", device="cpu", dtype=dtype) for dtype in ("float32", "int8"))
    [expected], [got] = outputs(exact, [samples]), outputs(rounded, [samples])
    written = expected.argmax(-1) != 0
    assert written.sum() > 15
    assert (expected.argmax(-1) == got.argmax(-1))[written].mean() > 0.8


class TestRefusals:
    def test_transformers_has_none(self, tmp_path):
        local = saved(random_model("SEW", "ForCTC"), tmp_path)
        with pytest.raises(UsageError, match="transformers does not run in int8"):
            load_model(local, "ctc", dtype="int8", engine="reference")

    @pytest.mark.parametrize("engine", ["auto", "fast"])
    def test_models_that_run_on_transformers_alone(self, engine, tmp_path):
        local = saved(random_model("SEW", "ForCTC", feat_extract_norm="layer"), tmp_path)
        with pytest.raises(ModelError, match="the fast engine does not run") as refused:
            load_model(local, "ctc", dtype="int8", device="cpu", engine=engine)
        assert refused.value.hint == "use --engine reference --dtype float32"

    def test_it_is_for_cpus(self, tmp_path, monkeypatch):
        from sewcli.acoustic import load

        monkeypatch.setattr(load, "find_device", lambda _: torch.device("cuda", 0))
        local = saved(random_model("SEW", "ForCTC"), tmp_path)
        with pytest.raises(UsageError, match="not for cuda:0"):
            load_model(local, "ctc", dtype="int8")

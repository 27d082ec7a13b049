"""What runs on a CUDA device gives what the CPU gives; `make test-card` runs these where there is one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from conftest import Sew
from trainings import EXAMPLES, keyword_recipe

from sewcli.evaluation import Scored, error_rates
from sewcli.training.observers import MetricsLog
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model

CARD = "cuda"
#: draws of a device's own generator
_CHANCE = ("hidden_dropout", "attention_dropout", "activation_dropout", "final_dropout")

pytestmark = pytest.mark.card


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--batch-seconds", "0"),
        ("--batch-seconds", "7"),
        ("--read-workers", "2"),
        ("--engine", "reference"),
        ("--decoder", "beam", "--decode-workers", "2"),
        ("--chunk", "3", "--stride", "0.5"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("model", ["nano", "nano-d"])
def test_texts_are_those_of_the_cpu(sew: Sew, model: str, options: tuple[str, ...]) -> None:
    given = ("transcribe", EXAMPLES / "speech", "-m", model, "-f", "json", *options)
    there, here = (sew(*given, "--device", device).records for device in (CARD, "cpu"))
    assert len(there) == len(here) == 6
    assert [record["text"] for record in there] == [record["text"] for record in here]
    for one, other in zip(there, here, strict=True):
        assert [word["start"] for word in one["words"]] == [word["start"] for word in other["words"]]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("options", [(), ("--compile",)], ids=" ".join)
def test_most_of_a_text_stays_in_sixteen_bits(sew: Sew, dtype: str, options: tuple[str, ...]) -> None:
    given = ("transcribe", EXAMPLES / "speech", "-m", "nano-d", "-f", "json", *options)
    there = sew(*given, "--device", CARD, "--dtype", dtype).records
    here = sew(*given, "--device", "cpu").records
    texts = [Scored(one["text"], other["text"], "") for one, other in zip(here, there, strict=True)]
    assert error_rates(texts)["wer"] < 0.2


@pytest.mark.parametrize("options", [(), ("--batch-seconds", "0"), ("--engine", "reference")], ids=" ".join)
def test_keywords_are_those_of_the_cpu(sew: Sew, options: tuple[str, ...]) -> None:
    for window in ((), ("--window", "1", "--threshold", "0.3")):
        given = ("classify", EXAMPLES / "keywords", "-f", "json", *window, *options)
        there, here = (sew(*given, "--device", device).records for device in (CARD, "cpu"))
        assert there
        for one, other in zip(there, here, strict=True):
            labels = [record.get("labels", [record]) for record in (one, other)]
            for ours, theirs in zip(*labels, strict=True):
                assert ours["label"] == theirs["label"]
                assert ours["score"] == pytest.approx(theirs["score"], abs=1e-3)


def test_hidden_states_are_those_of_the_cpu(sew: Sew, tmp_path: Path) -> None:
    given = ("embed", EXAMPLES / "speech", "-m", "nano", "--device")
    for device in (CARD, "cpu"):
        assert sew(*given, device, "-o", tmp_path / device).code == 0
    files = sorted((tmp_path / "cpu").iterdir())
    assert len(files) == 6
    for file in files:
        expected, got = np.load(file), np.load(tmp_path / CARD / file.name)
        np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def losses(recipe: Path, directory: Path, device: str, *settings: str) -> list[float]:
    """The loss before each evaluation."""
    train_model(load_recipe(recipe, EXAMPLES, list(settings)), directory, device=device)
    return [record["train_loss"] for record in MetricsLog(directory).records()]


@pytest.mark.parametrize("family", ["sew", "sew-d"])
def test_training_goes_as_on_the_cpu(recipe_file: Path, tmp_path: Path, family: str) -> None:
    more = ["consistency=0.2", "word_error_weight=1.0", "optimizer=muon"]
    more += ["config.layerdrop=0.0"] if family == "sew" else []
    settings = [f"family={family}", "precision=float32", *more, *(f"config.{name}=0.0" for name in _CHANCE)]
    there, here = (losses(recipe_file, tmp_path / device, device, *settings) for device in (CARD, "cpu"))
    assert len(here) == 2
    assert there == pytest.approx(here, rel=0.02)


def test_training_in_sixteen_bits_stops_and_goes_on(recipe_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    losses(recipe_file, run, CARD, "precision=bf16", "steps=3")
    found = losses(recipe_file, run, CARD, "precision=bf16")
    assert len(found) == 2
    assert all(math.isfinite(loss) for loss in found)


def test_training_of_keywords_goes_as_on_the_cpu(tmp_path: Path) -> None:
    recipe = keyword_recipe(tmp_path)
    settings = ["precision=float32", *(f"config.{name}=0.0" for name in _CHANCE)]
    there, here = (losses(recipe, tmp_path / device, device, *settings) for device in (CARD, "cpu"))
    assert there == pytest.approx(here, rel=0.02)

"""The embedded models: complete, small, loadable by transformers alone, and better than chance."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from sewcli.evaluation import Scored, error_rates
from sewcli.hub.fetching import fetch
from sewcli.registry import load_registry, resolve

EXAMPLES = Path(__file__).parent.parent / "examples"
CLASSES = {
    "nano": "SEWForCTC",
    "nano-d": "SEWDForCTC",
    "nano-keywords": "SEWForSequenceClassification",
}


@pytest.mark.parametrize("alias", CLASSES)
def test_an_embedded_model_is_complete_and_small(alias):
    directory = fetch(resolve(alias)).directory
    weights = directory / "model.safetensors"
    assert weights.stat().st_size < 24e6
    assert {tensor.dtype for tensor in load_file(weights).values()} == {torch.float16}
    config = json.loads((directory / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert config["architectures"] == [CLASSES[alias]]
    card = (directory / "README.md").read_text()
    assert "cc-by-sa-4.0" in card
    assert "sew evaluate" in card


def test_all_embedded_models_together_stay_small():
    sizes = [(fetch(resolve(alias)).directory / "model.safetensors").stat().st_size for alias in CLASSES]
    assert len(sizes) == 3
    assert sum(sizes) < 60e6


@pytest.mark.parametrize("alias", CLASSES)
def test_an_embedded_model_loads_with_plain_from_pretrained_in_float32(alias):
    directory = fetch(resolve(alias)).directory
    model, report = getattr(transformers, CLASSES[alias]).from_pretrained(directory, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.dtype == torch.float32


def test_the_registry_tells_the_true_size_of_the_embedded_models():
    for alias in CLASSES:
        spec = load_registry().models[alias]
        weights = load_file(fetch(spec).directory / "model.safetensors")
        size = (fetch(spec).directory / "model.safetensors").stat().st_size / 1e6
        assert spec.size_mb == pytest.approx(size, abs=0.6)
        assert spec.parameters == pytest.approx(sum(t.numel() for t in weights.values()) / 1e6, abs=0.06)


@pytest.mark.parametrize("alias", ["nano", "nano-d"])
def test_nano_hears_what_is_said_in_the_examples(sew, alias):
    """Clips and speakers it was not trained on; a broken front end or head gives 80 % and more."""
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()]
    clips = [EXAMPLES / row["audio_filepath"] for row in rows]
    done = sew("transcribe", "-h", "-q", "-m", alias, *clips)
    pairs = zip(rows, done.lines, strict=True)
    assert error_rates([Scored(row["text"], line, "") for row, line in pairs])["cer"] < 0.6


def test_nano_keywords_knows_the_examples(sew):
    rows = [json.loads(line) for line in (EXAMPLES / "keywords.jsonl").open()]
    done = sew("classify", "-h", "-q", *(EXAMPLES / row["audio_filepath"] for row in rows))
    answers = [line.split("\t")[0] for line in done.lines]
    assert sum(row["label"] == answer for row, answer in zip(rows, answers, strict=True)) >= 3


def test_nano_keywords_tells_silence_and_other_speech_from_keywords(sew, tmp_path):
    import numpy as np
    import soundfile

    noise = tmp_path / "noise.wav"
    soundfile.write(noise, np.random.default_rng(0).standard_normal(16_000) * 0.01, 16_000)
    done = sew("classify", "-h", "-q", noise, EXAMPLES / "speech/waterfowl.opus")
    assert [line.split("\t")[0] for line in done.lines] == ["_silence_", "_unknown_"]


@pytest.mark.float32
def test_the_demo_prints_what_the_readme_shows(sew, monkeypatch):
    """With every engine and number of threads: `make test-matrix` compares them through this page."""
    monkeypatch.chdir(EXAMPLES.parent)
    shown = Path("README.md").read_text().split("```text\n", 1)[1].split("```", 1)[0].splitlines()
    words = shown.index("sew classify --offline examples/keywords")
    assert sew(*shown[0].split()[1:]).lines == shown[1:words]
    found = [line.split("\t") for line in sew(*shown[words].split()[1:]).lines]
    expected = [line.split("\t") for line in shown[words + 1 :]]
    assert [line[:2] for line in found] == [line[:2] for line in expected]
    scores = [float(line[2]) for line in found]
    assert scores == pytest.approx([float(line[2]) for line in expected], abs=2e-4)


@pytest.mark.parametrize("alias", CLASSES)
def test_the_directory_of_an_embedded_model_is_used_as_its_alias(alias):
    """What its entry says of chunks and times stands in the directory too."""
    entry, directory = resolve(alias), resolve(str(fetch(resolve(alias)).directory))
    for key in ("defaults", "start_offset", "end_offset"):
        assert getattr(directory, key) == getattr(entry, key)

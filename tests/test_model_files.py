"""`sew models path`, `pull` and `verify`: the files of models on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import Sew
from helpers import in_cache, tiny_model


def test_model_that_is_not_here_names_the_command_that_fetches_it(sew: Sew) -> None:
    for command in ("path", "verify"):
        result = sew("models", command, "sew-tiny")
        assert result.code == 5
        assert "sew models pull sew-tiny" in result.err


def test_model_at_a_revision_that_is_not_here_names_the_command_with_it(sew: Sew) -> None:
    for command in ("path", "verify"):
        result = sew("models", command, "sew-tiny", "--revision", "v2")
        assert result.code == 5
        assert "sew-tiny at revision v2 is not on this machine" in result.err
        assert "sew models pull sew-tiny --revision v2" in result.err


def test_path_without_a_model_is_the_cache(sew: Sew, tmp_path: Path) -> None:
    assert sew("models", "path").lines == [str(tmp_path / "empty-hub-cache")]


def test_pull_offline_is_refused_at_once(sew: Sew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = sew("models", "pull", "sew-tiny")
    assert (result.code, result.out) == (5, b"")
    assert "HF_HUB_OFFLINE=0 sew models pull sew-tiny" in result.err


def test_verify_tells_of_each_whatever_is_wrong_with_another(sew: Sew, ctc: Path) -> None:
    result = sew("models", "verify", "nanno", ctc, "nano")
    assert result.code == 5
    assert result.lines == ["nanno\tmissing", f"{ctc}\tok", "nano\tok"]
    assert "did you mean nano" in result.err
    result = sew("models", "verify", "nano", "--revision", "v2")
    assert (result.code, result.lines) == (2, ["nano\tfailed"])
    assert "it has no revision 'v2'" in result.err


def test_verify_passes_whole_models(
    sew: Sew, ctc_d: Path, classifier: Path, tmp_path: Path, models: Path
) -> None:
    encoder = tiny_model(models / "encoder", "sew", "features")
    in_cache(ctc_d, tmp_path / "empty-hub-cache")
    result = sew("models", "verify", "owner/name", classifier, encoder)
    assert (result.code, result.err) == (0, "")
    assert result.lines == ["owner/name\tok", f"{classifier}\tok", f"{encoder}\tok"]
    everything = sew("models", "verify", "-f", "json").records
    assert [(record["model"], record["ok"]) for record in everything] == [
        ("nano", True),
        ("nano-d", True),
        ("nano-keywords", True),
    ]


@pytest.mark.parametrize("damage", ["byte", "cut", "nan", "shape", "vocabulary"])
def test_verify_finds_damage(sew: Sew, ctc: Path, tmp_path: Path, damage: str) -> None:
    from safetensors.numpy import load_file, save_file

    model = tmp_path / "model"
    shutil.copytree(ctc, model)
    weights = model / "model.safetensors"
    name = str(model)
    if damage == "byte":
        snapshot = in_cache(model, tmp_path / "empty-hub-cache")
        content = bytearray((snapshot / "model.safetensors").read_bytes())
        content[-1] ^= 1
        (snapshot / "model.safetensors").resolve().write_bytes(content)
        name = "owner/name"
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "nan":
        tensors = load_file(weights)
        tensors["lm_head.bias"][0] = float("nan")
        save_file(tensors, weights, metadata={"format": "pt"})
    elif damage == "shape":
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | {"intermediate_size": 100}))
    else:
        (model / "vocab.json").write_text("{}")
    result = sew("models", "verify", name, "-f", "json")
    assert result.code == 5
    [record] = result.records
    assert not record["ok"]
    assert record["error"]["message"] in result.err

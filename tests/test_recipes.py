"""The recipes of the embedded models: one script from nothing to all of them, tried with one update each."""

from __future__ import annotations

import json
import runpy
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes"
pytestmark = pytest.mark.skipif(not RECIPES.is_dir(), reason="needs the recipes")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as the recipes want it, out of the examples, with nothing left to synthesise."""
    data = tmp_path / "data"
    for name, source in (
        ("train", "speech"),
        ("keywords-train", "keywords"),
        ("synthetic", "speech"),
        ("synthetic-2", "speech"),
    ):
        rows = [json.loads(line) for line in (ROOT / "examples" / f"{source}.jsonl").open()]
        if source == "speech":  # some trainings make eight versions of each
            rows = sorted(rows, key=lambda row: row["duration"])[:2]
        for row in rows:
            row["audio_filepath"] = str(ROOT / "examples" / row["audio_filepath"])
        files = [data / name / "manifest.jsonl"]
        if not name.startswith("synthetic"):
            files = [data / "manifests" / f"{each}.jsonl" for each in (name, name.replace("train", "dev"))]
        if source == "keywords":
            files.append(data / "kw" / "manifest.jsonl")
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [json.loads(line) for line in (ROOT / "examples" / "speech.jsonl").open()]
    words = sorted({word for row in rows for word in row["text"].split()})
    (data / "lexicon.txt").write_text("".join(f"{word} {' '.join(word)}\n" for word in words))
    (data / "noise").mkdir()
    hiss = np.random.default_rng(0).standard_normal(48_000) * 0.1
    soundfile.write(data / "noise" / "noise-hiss.flac", hiss, 16_000)
    soundfile.write(data / "noise" / "rir-room.flac", np.exp(-np.arange(4_000) / 500) * hiss[:4_000], 16_000)
    return data


@pytest.mark.slow
@pytest.mark.usefixtures("sew", "undrawn")
def test_one_script_makes_all_embedded_models(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    # Muon, which other tests try, takes a third of the time
    settings = ("steps=1", "warmup=0", "batch_seconds=4", "pool_batches=1", "front_end_steps=1")
    given = [part for setting in (*settings, "optimizer=adamw") for part in ("--set", setting)]
    monkeypatch.setattr(sys, "argv", ["embedded.py", str(data), str(runs), *given])
    runpy.run_path(str(RECIPES / "embedded.py"), run_name="__main__")
    for name in ("nano", "nano-d", "nano-keywords"):
        ours, packaged = runs / "embedded" / name, ROOT / "sewcli" / "models" / name
        shapes = [
            {
                key: value.shape
                for key, value in load_file(folder / "model.safetensors").items()
                # only training has and needs the mask; the examples have fewer keywords
                if "masked_spec_embed" not in key and not key.startswith("classifier.")
            }
            for folder in (ours, packaged)
        ]
        assert shapes[0] == shapes[1]
        assert json.loads((ours / "config.json").read_text())["model_type"] in ("sew", "sew-d")
    # each step went on from the one before
    before, after = (load_file(runs / part / "model.safetensors") for part in ("nano-3/mean", "nano-4/model"))
    name = "sew.feature_extractor.conv_layers.3.conv.weight"
    assert before[name].float().equal(after[name].float())  # frozen
    assert not before["lm_head.weight"].equal(after["lm_head.weight"])


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.toml")), ids=lambda file: file.stem)
def test_every_recipe_has_its_place_in_the_script(file: Path) -> None:
    recipe = tomllib.loads(file.read_text())
    assert f'train("{file.stem}"' in (RECIPES / "embedded.py").read_text()
    assert isinstance(recipe["seed"], int)

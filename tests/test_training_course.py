"""Trainings that go nowhere: weights that are no numbers, disks that are full."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import pytest
import torch
import transformers
from trainings import EXAMPLES

from sewcli.decoding.vocabulary import load_vocabulary
from sewcli.errors import EXIT_UNEXPECTED, SewError, UsageError
from sewcli.training import checkpoint
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model

pytestmark = pytest.mark.usefixtures("undrawn")


def train(recipe_file: Path, run: Path, *settings: str) -> None:
    train_model(load_recipe(recipe_file, EXAMPLES, list(settings)), run, device="cpu")


@pytest.mark.parametrize("choose", ["best", "last"])
def test_a_training_that_diverges_ends_without_a_model(
    recipe_file: Path, tmp_path: Path, choose: str
) -> None:
    settings = ("peak_rate=1e30", "warmup=0", f"choose={choose}", "front_end_steps=0")
    with pytest.raises(UsageError, match=r"has diverged at step \d: .*peak_rate below 1e\+30"):
        train(recipe_file, tmp_path / "run", *settings)
    assert not (tmp_path / "run/model").exists()


def test_updates_that_are_all_skipped_end_it(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(math.inf))
    with pytest.raises(UsageError, match="the gradients of 3 updates in a row are no numbers"):
        train(recipe_file, tmp_path / "run", "steps=3")


@pytest.mark.parametrize("value", ["inf", "nan", "-1.0"])
def test_a_rate_is_a_number(recipe_file: Path, value: str) -> None:
    with pytest.raises(UsageError, match="a number above 0"):
        load_recipe(recipe_file, EXAMPLES, [f"peak_rate={value}"])


@pytest.mark.parametrize("kind", ["library", "system"])
def test_a_full_disk_is_told_with_the_directory(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """As the library for tensors and as the system say it."""
    from safetensors import SafetensorError

    def full(_file: Path) -> None:
        if kind == "library":
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_to_disk", full)
    with pytest.raises(SewError, match=r"no room for .*run: No space left on device .*--resume"):
        train(recipe_file, tmp_path / "run")


def test_a_full_temporary_directory_is_no_input_that_failed(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: object, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", full)
    with pytest.raises(SewError, match=r"no room for the posteriors .*TMPDIR") as caught:
        train(recipe_file, tmp_path / "run")
    assert (caught.value.exit_code, caught.value.code) == (EXIT_UNEXPECTED, "no_space")


def test_a_dev_text_that_does_not_fit_its_clip_is_left_out(
    recipe_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").read_text().splitlines()]
    for row in rows:
        row["audio_filepath"] = str(EXAMPLES / row["audio_filepath"])
    rows[1]["text"] = "A " * 500
    dev = tmp_path / "dev.jsonl"
    dev.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    train(recipe_file, tmp_path / "run", f"dev={dev}", "steps=1")
    assert "its text needs 999 frames and has" in caplog.text
    assert f"1 of {len(rows)} dev clips left out: text longer than its frames" in caplog.text


def test_a_vocabulary_alone_gets_what_transformers_needs_beside_it(recipe_file: Path, tmp_path: Path) -> None:
    tokens = ["<pad>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    recipe = load_recipe(recipe_file, EXAMPLES, ["steps=1", f"vocabulary={tmp_path}/vocab.json"])
    train_model(recipe, tmp_path / "run")
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "run/model")
    assert processor.tokenizer.decode([3, 3, 0, 3, 2, 4]) == "AA B"


def test_the_names_of_special_tokens_beside_a_vocabulary_stay(recipe_file: Path, tmp_path: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(names))
    recipe = load_recipe(recipe_file, EXAMPLES, ["steps=1", f"vocabulary={tmp_path}/vocab.json"])
    train_model(recipe, tmp_path / "run")
    assert load_vocabulary(tmp_path / "run/model", len(tokens)) == load_vocabulary(tmp_path, len(tokens))
    assert load_vocabulary(tmp_path, len(tokens)).special == {1}


def test_a_vocabulary_of_another_name_is_told_as_such(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(UsageError, match=r"mine\.json has to be named vocab\.json"):
        train(recipe_file, tmp_path / "run", f"vocabulary={tmp_path / 'mine.json'}")

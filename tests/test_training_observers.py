"""What a training tells of itself: lines, bar, TensorBoard, card and picture."""

from __future__ import annotations

import hashlib
import io
import logging
import tomllib
from pathlib import Path

import numpy as np
import pytest
from trainings import EXAMPLES

from sewcli.cli.commands.training_progress import LiveProgress
from sewcli.inputs.manifest import load_manifest
from sewcli.training.cache import AudioCache
from sewcli.training.observers import SHOWN_SAMPLES, MessageLog, MetricsLog, spread
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model

RECORD = {"step": 50, "train_loss": 1.5, "speed": 9.0, "wer": 0.25, "wer_a": 0.3, "cer": 0.125, "loss": 2.0}
PAIRS = [("GO FORWARD", "GO FOR WARD"), ("STOP", "STOP")]


def test_lines_tell_loss_rate_speed_and_what_dev_sounds_like(caplog: pytest.LogCaptureFixture) -> None:
    told = MessageLog()
    with caplog.at_level(logging.INFO, "sewcli"):
        for step in range(1, 101):
            told.updated(step, 1.0 if step <= 50 else 3.0, 2e-4, 41.0)
        told.evaluated(RECORD, PAIRS)
    assert caplog.messages == [
        "step 50: loss 1.000, rate 2.0e-04, 41 x real time",
        "step 100: loss 3.000, rate 2.0e-04, 41 x real time",
        "step 50: train loss 1.500; wer 0.2500, cer 0.1250, loss 2.0000",
        "    GO FORWARD | GO FOR WARD",
        "    STOP | STOP",
    ]


def test_a_terminal_shows_loss_error_speed_and_samples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    bar = LiveProgress(200)
    bar.updated(1, 4.0, 1e-4, 30.0)
    bar.updated(2, float("nan"), 1e-4, 30.0)  # skipped
    bar.evaluated(RECORD, PAIRS)
    bar.updated(50, 4.0, 1e-4, 31.0)
    bar.close()
    shown = capsys.readouterr().err
    for told in ("50/200", "loss 4.000", "dev wer 25.0 %", "31 x real time", "GO FORWARD | GO FOR WARD"):
        assert told in shown, told


def test_a_few_samples_of_all_of_dev_are_shown() -> None:
    pairs = [(str(number), "") for number in range(21)]
    assert [int(reference) for reference, _ in spread(pairs)] == [0, 5, 10, 15]


def test_a_run_that_begins_anew_does_not_go_on_with_the_log_of_another(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        MetricsLog(tmp_path).evaluated({"step": step}, [])
    assert [record["step"] for record in MetricsLog(tmp_path, 20).records()] == [10, 20]
    assert MetricsLog(tmp_path, 0).records() == MetricsLog(tmp_path).records() == []


def test_a_run_leaves_a_card_and_a_picture(recipe_file: Path, tmp_path: Path) -> None:
    settings = ["repeat={'a set' = 2}", "max_seconds=6", "name=a 'model' of \"mine\" 🎙"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    card = (tmp_path / "run/model/README.md").read_text()
    assert "SEWForCTC" in card
    assert "| wer |" in card
    assert "| loss |" in card
    recipe = tomllib.loads(card.split("```toml")[1].split("```")[0])
    assert recipe["batch_seconds"] == 8.0
    assert recipe["repeat"] == {"a set": 2}
    assert recipe["train"] == ["examples/speech.jsonl"]
    assert recipe["name"] == "a 'model' of \"mine\" 🎙"
    assert "5 clips" in card
    assert "1 more were left out" in card
    assert (tmp_path / "run/curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "run/tensorboard").glob("events.*"))


def test_tensorboard_the_card_and_the_picture_have_what_was_measured(
    recipe_file: Path, tmp_path: Path
) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from matplotlib.image import imread

    run = tmp_path / "run"
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=20", "eval_every=10"]), run)
    records = MetricsLog(run).records()
    log = events.EventAccumulator(str(run / "tensorboard"))
    log.Reload()
    for name in ("wer", "cer", "loss"):
        assert [event.step for event in log.Scalars(f"dev/{name}")] == [10, 20]
        np.testing.assert_allclose(
            [event.value for event in log.Scalars(f"dev/{name}")],
            [record[name] for record in records],
            rtol=1e-5,
        )
    assert [event.step for event in log.Scalars("train/loss")] == [10, 20]
    samples = log.Tensors("dev/samples/text_summary")[0].tensor_proto.string_val[0].decode()
    assert samples.count(" | ") == SHOWN_SAMPLES

    card = (run / "model/README.md").read_text()
    manifest = EXAMPLES / "speech.jsonl"
    clips = AudioCache.build(list(load_manifest(manifest).rows), tmp_path)
    assert f"SHA-256 of the manifests: {hashlib.sha256(manifest.read_bytes()).hexdigest()}" in card
    assert hashlib.sha256(clips.samples.tobytes()).hexdigest() in card

    picture = imread(io.BytesIO((run / "curves.png").read_bytes()))
    assert min(picture.shape[:2]) > 300
    coloured = np.ptp(picture[..., :3], axis=-1) > 0.2
    assert coloured.sum() > 500, "no curves"

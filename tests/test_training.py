"""Training: recipes, batches, resuming, and what comes out at the end."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.forward import ctc_logits
from sewcli.acoustic.statistics import wave_statistics
from sewcli.errors import ModelError, UsageError
from sewcli.manifest import read_manifest
from sewcli.training.augment import add_noise, change_speed, cut
from sewcli.training.batches import Bucketing, endless, epoch_batches
from sewcli.training.initialise import log_mel
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model
from sewcli.training.vocabulary import ENGLISH, encode

EXAMPLES = Path(__file__).parent.parent / "examples"

RECIPE = """
name = "tiny"
task = "ctc"
train = "speech.jsonl"
dev = "speech.jsonl"
seed = 3
steps = 6
batch_seconds = 8.0
warmup = 2
front_end_steps = 2
speeds = [0.9, 1.0]
eval_every = 3

[config]
hidden_size = 32
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 64
conv_dim = [8, 8, 8, 8, 8, 8, 8, 8, 8, 16, 16, 16, 16]
num_conv_pos_embedding_groups = 4
hidden_dropout = 0.1
"""


@pytest.fixture
def recipe_file(tmp_path):
    file = tmp_path / "tiny.toml"
    file.write_text(RECIPE)
    return file


def test_a_run_in_two_parts_gives_the_weights_of_a_run_in_one(recipe_file, tmp_path):
    whole = load_recipe(recipe_file, EXAMPLES, [])
    train_model(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):  # killed after the checkpoint at step 3
        train_model(whole, tmp_path / "parts", after_step=_interrupt_at(5))
    train_model(whole, tmp_path / "parts")
    expected = load_file(tmp_path / "whole/model/model.safetensors")
    for name, tensor in load_file(tmp_path / "parts/model/model.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").open()]
    assert steps == [3, 6]


@pytest.mark.parametrize("step", [2, 3, 6])
def test_a_stop_signal_leaves_a_checkpoint_and_loses_no_evaluation(recipe_file, tmp_path, step):
    """Step 3 has an evaluation and step 6 is the last."""
    recipe = load_recipe(recipe_file, EXAMPLES, [])
    train_model(recipe, tmp_path / "whole")

    def stop(done):
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train_model(recipe, tmp_path / "parts", after_step=stop)
    train_model(recipe, tmp_path / "parts")
    expected = load_file(tmp_path / "whole/model/model.safetensors")
    for name, tensor in load_file(tmp_path / "parts/model/model.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").open()]
    assert steps == [3, 6]


def test_an_error_while_batches_are_made_ends_the_run(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file, EXAMPLES, [])
    broken = dataclasses.replace(recipe, speeds=(0.0,))
    with pytest.raises(ZeroDivisionError):
        train_model(broken, tmp_path / "run")


def test_a_run_is_not_resumed_as_another_model(recipe_file, tmp_path):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "run")
    other = load_recipe(recipe_file, EXAMPLES, ["steps=2"])
    other.config["intermediate_size"] = 32
    with pytest.raises((UsageError, RuntimeError), match=r"another model|size mismatch"):
        train_model(other, tmp_path / "run")


CONFIG = RECIPE.split("[config]")[1]


def keyword_recipe(tmp_path, **changes):
    """Two keywords, other speech and noise out of the examples."""
    noise = tmp_path / "noise"
    noise.mkdir(exist_ok=True)
    hiss = np.random.default_rng(0).standard_normal(48_000) * 0.1
    soundfile.write(noise / "noise-hiss.flac", hiss, 16_000)
    fields = {
        "name": "tiny",
        "task": "classification",
        "train": "keywords.jsonl",
        "dev": "keywords.jsonl",
        "background": "speech.jsonl",
        "background_dev": "speech.jsonl",
        "noise": str(noise),
        "steps": 4,
        "batch_seconds": 6.0,
        "pool_batches": 2,
        "noise_probability": 0.5,
        "front_end_steps": 0,
        "eval_every": 2,
        **changes,
    }
    file = tmp_path / "keywords.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
    file.write_text("\n".join(lines) + "\n[config]" + CONFIG)
    return file


def test_a_classifier_learns_keywords_silence_and_other_speech(tmp_path):
    import transformers

    train_model(load_recipe(keyword_recipe(tmp_path), EXAMPLES, []), tmp_path / "run")
    model = transformers.SEWForSequenceClassification.from_pretrained(tmp_path / "run/model")
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    assert labels == ["computer", "jarvis", "operator", "seven", "_silence_", "_unknown_"]
    metrics = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").open()]
    assert metrics[-1]["step"] == 4
    assert metrics[-1]["accuracy"] == pytest.approx(1 - metrics[-1]["error"])


@pytest.mark.parametrize("family", ["sew", "sew-d"])
def test_a_classifier_starts_from_the_encoder_of_a_transcriber(recipe_file, tmp_path, family):
    name = {"sew": "sew", "sew-d": "sew_d"}[family]
    start = load_recipe(recipe_file, EXAMPLES, ["steps=1", f"family={family}"])
    train_model(start, tmp_path / "ctc")
    recipe = keyword_recipe(
        tmp_path, init=str(tmp_path / "ctc/model"), steps=1, family=family, peak_rate=1e-9
    )
    train_model(load_recipe(recipe, EXAMPLES, []), tmp_path / "keywords")
    before = load_file(tmp_path / "ctc/model/model.safetensors")
    after = load_file(tmp_path / "keywords/model/model.safetensors")
    key = f"{name}.feature_extractor.conv_layers.3.conv.weight"
    torch.testing.assert_close(after[key], before[key], rtol=0, atol=1e-3)


def test_starting_from_another_family_is_refused(recipe_file, tmp_path):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1", "family=sew-d"]), tmp_path / "ctc")
    recipe = keyword_recipe(tmp_path, init=str(tmp_path / "ctc/model"))
    with pytest.raises(ModelError, match="does not fit"):
        train_model(load_recipe(recipe, EXAMPLES, []), tmp_path / "keywords")


@pytest.mark.parametrize(
    "setting",
    ["steps=abc", "eval_every=0", "speeds=[]", "speeds=[0.0]", "noise_snr=[1.0]", "average=2", "config=3"],
)
def test_a_setting_of_the_wrong_type_or_range_is_named(recipe_file, setting):
    with pytest.raises(UsageError, match=setting.split("=")[0]):
        load_recipe(recipe_file, EXAMPLES, [setting])


def test_a_set_may_come_several_times_in_a_pass(recipe_file, tmp_path, caplog):
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()]
    for number, row in enumerate(rows):
        row["audio_filepath"] = str(EXAMPLES / row["audio_filepath"])
        row["set"] = "often" if number < 2 else "once"
    manifest = tmp_path / "train.jsonl"
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    caplog.set_level("INFO", "sewcli")
    settings = [f"train={manifest}", "repeat={often=3}", "steps=1", "front_end_steps=0"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    assert "10 clips" in caplog.text  # 2 x 3 + 4


def test_a_noise_directory_without_noise_is_refused(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file, EXAMPLES, [f"noise={tmp_path}", "noise_probability=1.0"])
    with pytest.raises(UsageError, match="no noise recordings"):
        train_model(recipe, tmp_path / "run")


def test_the_train_command_writes_a_model_and_asks_before_it_goes_on(sew, recipe_file, tmp_path):
    command = ["train", recipe_file, "--data", EXAMPLES, "-o", tmp_path / "run", "--set", "steps=2"]
    assert sew(*command).code == 0
    assert (tmp_path / "run/model/model.safetensors").exists()
    again = sew(*command)
    assert again.code == 2
    assert "--resume" in again.err
    assert sew(*command, "--resume").code == 0
    assert sew("transcribe", EXAMPLES / "speech/explosion.opus", "-m", tmp_path / "run/model").code == 0
    assert sew("train", tmp_path / "none.toml", "-o", tmp_path / "other").code == 2


def _interrupt_at(step):
    def interrupt(done):
        if done == step:
            raise KeyboardInterrupt

    return interrupt


def test_the_exported_model_loads_in_transformers_in_float32(recipe_file, tmp_path):
    import transformers

    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=3"]), tmp_path / "run")
    directory = tmp_path / "run/model"
    model, report = transformers.SEWForCTC.from_pretrained(directory, output_loading_info=True)
    assert not report["missing_keys"]
    assert model.dtype == torch.float32
    stored = load_file(directory / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    tokenizer = transformers.Wav2Vec2CTCTokenizer.from_pretrained(directory)
    ids = encode("SEE THE CAT'S EYE", ENGLISH)
    spaced = [token for pair in zip(ids, [0] * len(ids), strict=True) for token in pair]
    assert tokenizer.decode(spaced) == "SEE THE CAT'S EYE"


def test_learning_goes_down(recipe_file, tmp_path):
    """Six clips, forty updates: the loss on them must fall well below its start."""
    recipe = load_recipe(recipe_file, EXAMPLES, ["steps=40", "eval_every=20", "speeds=[1.0]"])
    train_model(recipe, tmp_path / "run")
    first, last = (json.loads(line)["train_loss"] for line in (tmp_path / "run/metrics.jsonl").open())
    assert last < 0.8 * first


def test_sixteen_bit_training_keeps_the_statistics_of_a_faint_clip_finite():
    """Rounded to bfloat16 the variance of a channel can be negative, and its root NaN."""
    from test_parity import random_model

    rng = np.random.default_rng(0)
    rows = [(rng.standard_normal(16_080) * 1e-4 + 0.2).astype(np.float32) for _ in range(3)]
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    model = random_model("SEW", "ForCTC")
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert torch.isfinite(ctc_logits(model, batch)).all()


def test_every_clip_is_in_one_batch_of_a_pass_and_batches_keep_their_size():
    lengths = np.random.default_rng(0).integers(3_000, 200_000, size=500)
    batches = epoch_batches(lengths, Bucketing(512_000), seed=1, epoch=2)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    assert all(len(batch) * lengths[batch].max() <= 512_000 for batch in batches)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


def test_the_first_pass_may_go_from_short_to_long():
    lengths = np.random.default_rng(0).integers(3_000, 200_000, size=500)
    order = np.concatenate(epoch_batches(lengths, Bucketing(512_000, shortest_first=True), seed=1, epoch=0))
    assert np.all(np.diff(lengths[order]) >= 0)
    order = np.concatenate(epoch_batches(lengths, Bucketing(512_000, shortest_first=True), seed=1, epoch=1))
    assert not np.all(np.diff(lengths[order]) >= 0)


def test_the_order_of_clips_continues_where_it_stopped():
    lengths = np.random.default_rng(0).integers(3_000, 200_000, size=50)
    plan = endless(lengths, Bucketing(512_000), seed=5)
    steps = [next(plan) for _ in range(40)]
    later = endless(lengths, Bucketing(512_000), seed=5, start_step=23)
    for (epoch, clips), (epoch_again, clips_again) in zip(steps[23:], later, strict=False):
        assert epoch == epoch_again
        assert clips.tolist() == clips_again.tolist()


def test_noise_is_added_at_the_level_asked_for():
    rng = np.random.default_rng(1)
    speech, noise = rng.standard_normal((2, 16_000)).astype(np.float32)
    added = add_noise(speech, 5 * noise, snr=10.0) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(10.0, abs=0.01)


def test_speed_and_cut_change_lengths_as_they_say():
    rng = np.random.default_rng(1)
    clip = rng.standard_normal(16_000).astype(np.float32)
    assert change_speed(clip, 1.25).size == 12_800
    assert cut(clip, 40_000, rng).size == 40_000


def test_log_mel_frames_are_the_frames_of_the_model():
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_112) / 16_000).astype(np.float32)
    energies = log_mel(torch.from_numpy(tone)[None])[0]
    assert energies.shape == (49, 80)
    assert int(energies.mean(0).argmax()) == pytest.approx(27, abs=2)  # 1 kHz lies in mel band 27


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stepps = 3", "no key stepps"),
        ('task = "asr"', "task is 'asr'"),
        ("steps = ", "not valid TOML"),
        ('train = "nothing.jsonl"', "cannot read the manifest"),
    ],
)
def test_a_recipe_that_cannot_work_says_why(recipe_file, tmp_path, line, message):
    key = line.split()[0]
    kept = [old for old in RECIPE.splitlines() if old.split(" ")[0] != key]
    recipe_file.write_text("\n".join([line, *kept]))
    with pytest.raises(UsageError, match=message):
        train_model(load_recipe(recipe_file, EXAMPLES, []), tmp_path / "run")


def test_a_bad_manifest_line_is_named(tmp_path):
    manifest = tmp_path / "train.jsonl"
    manifest.write_text('{"audio_filepath": "a.wav", "text": "A"}\n\n{"text": "B"}\n')
    with pytest.raises(UsageError, match=r"train.jsonl:3"):
        read_manifest(manifest)


def test_clips_that_cannot_be_used_are_counted_and_left_out(recipe_file, tmp_path, caplog):
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()]
    for row in rows:
        row["audio_filepath"] = str(EXAMPLES / row["audio_filepath"])
    rows[0]["text"] = "FÜNF"
    rows[1]["text"] = "A VERY LONG TEXT " * 30
    rows[2]["text"] = ""
    rows.append({"audio_filepath": "missing.wav", "text": "A"})
    manifest = tmp_path / "train.jsonl"
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    train_model(load_recipe(recipe_file, EXAMPLES, [f"train={manifest}", "steps=1"]), tmp_path / "run")
    messages = " ".join(record.getMessage() for record in caplog.records)
    for reason in ("the vocabulary has no 'Ü'", "text longer than its frames", "no text", "missing.wav"):
        assert reason in messages

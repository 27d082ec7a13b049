"""Training: stopping and resuming."""

import dataclasses
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file
from trainings import EXAMPLES, At, interrupt, weights

from sewcli.errors import UsageError
from sewcli.training.checkpoint import CHOSEN, has_checkpoint, held, load_checkpoint, save_checkpoint
from sewcli.training.ctc import CtcTask
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model

pytestmark = pytest.mark.usefixtures("undrawn")


def test_a_run_in_two_parts_gives_the_weights_of_a_run_in_one(recipe_file, tmp_path):
    whole = load_recipe(recipe_file, EXAMPLES, [])
    train_model(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):  # killed after the checkpoint at step 3
        train_model(whole, tmp_path / "parts", observers=[At(5, interrupt)])
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

    stop = At(step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt, match=f"step {step} is kept in .*parts; go on with --resume"):
        train_model(recipe, tmp_path / "parts", observers=[stop])
    train_model(recipe, tmp_path / "parts")
    expected = load_file(tmp_path / "whole/model/model.safetensors")
    for name, tensor in load_file(tmp_path / "parts/model/model.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").open()]
    assert steps == [3, 6]


def test_an_error_while_batches_are_made_ends_the_run(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file, EXAMPLES, [])
    broken = dataclasses.replace(recipe, speeds=(0.0,))  # which a recipe file cannot ask for
    with pytest.raises(ZeroDivisionError):
        train_model(broken, tmp_path / "run")


def test_a_run_is_not_resumed_as_another_model(recipe_file, tmp_path):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "run")
    other = load_recipe(recipe_file, EXAMPLES, ["steps=2"])
    other.config["intermediate_size"] = 32
    with pytest.raises(UsageError, match="config differ"):
        train_model(other, tmp_path / "run")


def test_what_concerns_training_alone_may_change(recipe_file, tmp_path, caplog):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "run")
    changes = ["steps=2", "config.hidden_dropout=0.0", "config.mask_time_prob=0.1"]
    with caplog.at_level("WARNING", "sewcli"):
        train_model(load_recipe(recipe_file, EXAMPLES, changes), tmp_path / "run")
    assert any(message.startswith("config is ") for message in caplog.messages)
    config = json.loads((tmp_path / "run/model/config.json").read_text())
    assert (config["hidden_dropout"], config["mask_time_prob"]) == (0.0, 0.1)


def same(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes_to_the_weights_of_an_uninterrupted_one(recipe_file, tmp_path):
    settings = ["steps=16", "save_every=2", "eval_every=8", "optimizer=muon", "config.mask_time_prob=0.1"]
    command = [sys.executable, "-m", "sewcli", "train", recipe_file, "--data", EXAMPLES, "--device", "cpu"]
    command += [item for setting in settings for item in ("--set", setting)]
    recipe = load_recipe(recipe_file, EXAMPLES, settings)
    train_model(recipe, tmp_path / "whole", device="cpu")
    seed = os.getpid()
    print(f"seed {seed}")  # shown where the test fails
    rng = random.Random(seed)
    for _ in range(2):
        start = ["--resume"] if has_checkpoint(tmp_path / "parts") else []
        with subprocess.Popen([*command, "-o", tmp_path / "parts", *start], stderr=subprocess.PIPE) as run:
            seen = _checkpoint(tmp_path / "parts")
            while run.poll() is None and _checkpoint(tmp_path / "parts") == seen:
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 0.3))
            run.kill()
    train_model(recipe, tmp_path / "parts", device="cpu")
    assert same(tmp_path / "whole", tmp_path / "parts")
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").open()]
    assert steps == [8, 16]


def _checkpoint(run):
    return sorted(path.name for path in run.glob("state-*"))


@pytest.mark.parametrize("choose", ["best", "last"])
def test_a_run_that_is_to_end_where_it_stopped_is_evaluated_there(recipe_file, tmp_path, choose):
    settings = [f"choose={choose}", "eval_every=2", "save_every=3"]
    with pytest.raises(KeyboardInterrupt):
        train_model(
            load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run", observers=[At(4, interrupt)]
        )
    train_model(load_recipe(recipe_file, EXAMPLES, [*settings, "steps=3"]), tmp_path / "run")
    steps = [json.loads(line)["step"] for line in (tmp_path / "run/metrics.jsonl").open()]
    assert steps == [2, 3]
    if choose == "last":
        assert load_checkpoint(tmp_path / "run", CHOSEN)["step"] == 3


def test_what_is_best_at_the_step_a_run_ends_at_stays_when_it_goes_on(recipe_file, tmp_path, monkeypatch):
    evaluate, rates = CtcTask.evaluate, iter([0.9, 0.2, 0.5, 0.6])

    def scored(*given):
        metrics, pairs = evaluate(*given)
        return metrics | {"wer": next(rates)}, pairs

    monkeypatch.setattr(CtcTask, "evaluate", scored)
    settings = ["eval_every=2", "save_every=3"]
    with pytest.raises(KeyboardInterrupt):
        train_model(
            load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run", observers=[At(4, interrupt)]
        )
    train_model(load_recipe(recipe_file, EXAMPLES, [*settings, "steps=3"]), tmp_path / "run")
    before = load_checkpoint(tmp_path / "run", CHOSEN)
    assert before["step"] == 3
    train_model(load_recipe(recipe_file, EXAMPLES, [*settings, "steps=5"]), tmp_path / "run")
    after, state = load_checkpoint(tmp_path / "run", CHOSEN), load_checkpoint(tmp_path / "run")
    assert after["step"] == 3
    assert all(torch.equal(tensor, after["model"][name]) for name, tensor in before["model"].items())
    assert (state["best_step"], state["best"][0], state["waited"]) == (3, 0.2, 2)


def test_another_weight_decay_counts_from_where_a_run_goes_on(recipe_file, tmp_path):
    """With the rate of the last update near zero but for the decay, which is large."""
    settings = ["optimizer=muon", "warmup=0", "average=0.0", "choose=last", "peak_rate=1e-4"]
    first = load_recipe(recipe_file, EXAMPLES, [*settings, "steps=1", "weight_decay=0.0"])
    train_model(first, tmp_path / "run")
    before = load_checkpoint(tmp_path / "run", CHOSEN)["model"]
    more = load_recipe(recipe_file, EXAMPLES, [*settings, "steps=2", "decay_from=1.0", "weight_decay=5000.0"])
    train_model(more, tmp_path / "run")
    after = load_checkpoint(tmp_path / "run", CHOSEN)["model"]
    for name in ("sew.encoder.layers.0.attention.q_proj.weight", "lm_head.weight"):  # of Muon and of AdamW
        torch.testing.assert_close(after[name], before[name] / 2, rtol=0, atol=1e-3)


def test_a_run_goes_on_with_the_next_batch_whatever_the_size_of_an_update(recipe_file, tmp_path, caplog):
    """Two updates of one batch and two of two are the first six batches."""
    heard = []

    class Heard(At):
        def evaluated(self, record, pairs):
            heard.append(record["step"])

    one = load_recipe(recipe_file, EXAMPLES, ["steps=2"])
    train_model(one, tmp_path / "run")
    train_model(dataclasses.replace(one, steps=4, accumulate=2), tmp_path / "run", observers=[Heard(0, None)])
    assert heard == [3, 4]
    assert load_checkpoint(tmp_path / "run")["batches"] == 6


def test_a_run_of_an_older_version_is_told_as_such(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file, EXAMPLES, ["steps=1"])
    train_model(recipe, tmp_path / "run")
    state = load_checkpoint(tmp_path / "run")
    shutil.rmtree(tmp_path / "run/state-00000001")
    older = {key: value for key, value in state.items() if key != "data"}
    save_checkpoint(tmp_path / "run", 1, older, 1 << 30)
    with pytest.raises(UsageError, match="begun by an older version"):
        train_model(recipe, tmp_path / "run")


def test_other_data_and_other_processes_are_told(recipe_file, tmp_path, caplog):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "run")
    state = load_checkpoint(tmp_path / "run")
    shutil.rmtree(tmp_path / "run/state-00000001")
    save_checkpoint(tmp_path / "run", 1, state | {"processes": 3}, 1 << 30)
    lines = (EXAMPLES / "speech.jsonl").read_text().splitlines()[1:]
    rows = [json.loads(line) for line in lines]
    manifest = tmp_path / "fewer.jsonl"
    manifest.write_text(
        "".join(
            json.dumps(row | {"audio_filepath": str(EXAMPLES / row["audio_filepath"])}) + "\n" for row in rows
        )
    )
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=2", f"train={manifest}"]), tmp_path / "run")
    assert "the training data are others than those the run began with" in caplog.messages
    assert "processes: 1 now, 3 before" in caplog.messages


def clips(file, *lines):
    """A manifest of copies of some of the example clips, by their places in that of all."""
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").read_text().splitlines()]
    folder = file.with_suffix("")
    folder.mkdir()
    paths = [shutil.copy(EXAMPLES / rows[line]["audio_filepath"], folder) for line in lines]
    own = [{**rows[line], "audio_filepath": path} for line, path in zip(lines, paths, strict=True)]
    file.write_text("".join(json.dumps(row) + "\n" for row in own))
    return file


def test_a_run_keeps_its_dev_set_where_none_is_named(recipe_file, tmp_path, caplog):
    text = recipe_file.read_text().replace('dev = "speech.jsonl"\n', "")
    text = text.replace('train = "speech.jsonl"', f'train = "{clips(tmp_path / "train.jsonl", 0, 1, 2)}"')
    recipe_file.write_text(text)
    dev = clips(tmp_path / "dev.jsonl", 3, 4)
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1", f"dev={dev}"]), tmp_path / "run")
    caplog.clear()
    caplog.set_level(logging.INFO, "sewcli")
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=2"]), tmp_path / "run")
    assert f"dev is {dev}, by which the run has chosen until now" in caplog.messages
    assert not any("held out" in message or "dev is another" in message for message in caplog.messages)
    assert "learned from" not in (tmp_path / "run/model/README.md").read_text()


def test_clips_of_dev_that_were_learned_from_before_are_told(recipe_file, tmp_path, caplog):
    first, second = clips(tmp_path / "a.jsonl", 0, 1, 2), clips(tmp_path / "b.jsonl", 2, 3)
    dev, other_dev = clips(tmp_path / "c.jsonl", 4), clips(tmp_path / "d.jsonl", 0, 1, 4)
    run = tmp_path / "run"
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1", f"train={first}", f"dev={dev}"]), run)
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=2", f"train={second}", f"dev={dev}"]), run)
    assert not any("has learned from" in message for message in caplog.messages)
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=3", f"train={second}", f"dev={other_dev}"]), run)
    told = "2 of 3 dev clips are among those the run has learned from: "
    assert any(message.startswith(told) for message in caplog.messages)
    card = (run / "model/README.md").read_text()
    assert "2 clips of dev were learned from." in card
    assert "2 clips, " in card
    assert "Before, the run had learned from 2 clips that are not among these." in card


@pytest.mark.parametrize("setting", ["choose=last", "freeze_feature_encoder=true"])
def test_what_decides_which_weights_there_are_stays(recipe_file, tmp_path, setting):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "first")
    settings = ["steps=1", f"init={tmp_path}/first/model"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    with pytest.raises(UsageError, match=f"{setting.partition('=')[0]} differ"):
        train_model(load_recipe(recipe_file, EXAMPLES, [*settings, setting]), tmp_path / "run")


def test_other_labels_are_another_run(recipe_file, tmp_path):
    lines = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()][:4]
    manifest = tmp_path / "labels.jsonl"

    def write(*labels):
        rows = [
            {"audio_filepath": str(EXAMPLES / line["audio_filepath"]), "label": labels[i % 2]}
            for i, line in enumerate(lines)
        ]
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))

    settings = ["steps=1", "task=classification", f"train={manifest}", f"dev={manifest}", "max_seconds=60"]
    recipe = load_recipe(recipe_file, EXAMPLES, settings)
    write("no", "yes")
    train_model(recipe, tmp_path / "run")
    write("no", "maybe")
    with pytest.raises(UsageError, match="other labels than its data give"):
        train_model(recipe, tmp_path / "run")


def test_two_trainings_do_not_share_a_directory_and_processes_of_one_do(recipe_file, tmp_path, monkeypatch):
    recipe = load_recipe(recipe_file, EXAMPLES, [])
    with held(tmp_path / "run"):
        with pytest.raises(UsageError, match="another training is writing to"):
            train_model(recipe, tmp_path / "run")
        monkeypatch.setenv("RANK", "1")
        with held(tmp_path / "run"):
            pass


def test_skipped_updates_are_no_loss_of_zero(recipe_file, tmp_path, monkeypatch):
    """A gradient that is not finite: the update is left out, and so is its loss."""
    clip, norms = torch.nn.utils.clip_grad_norm_, iter([torch.tensor(float("nan"))])
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *given: next(norms, clip(*given)))
    train_model(
        load_recipe(recipe_file, EXAMPLES, ["steps=2", "eval_every=1", "front_end_steps=0"]), tmp_path / "run"
    )
    skipped, made = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").open()]
    assert skipped["train_loss"] is None
    assert made["train_loss"] > 0


def test_a_run_that_has_gone_further_is_not_resumed(recipe_file, tmp_path):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=3"]), tmp_path / "run")
    with pytest.raises(UsageError, match="has made 3 updates, more than steps = 2"):
        train_model(load_recipe(recipe_file, EXAMPLES, ["steps=2"]), tmp_path / "run")


def test_what_will_have_no_effect_is_told(recipe_file, tmp_path, caplog):
    settings = ["steps=1", "warmup=5", "config.mask_time_prob=0.3", "config.mask_time_length=100000"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    assert any("no stretch of time is masked" in message for message in caplog.messages)
    assert any("the rate rises to 20 % of peak_rate only" in message for message in caplog.messages)

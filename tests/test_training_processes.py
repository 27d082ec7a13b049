"""Training in several processes."""

import dataclasses
import subprocess
import sys

import pytest
import torch
from trainings import EXAMPLES, weights

from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model

LATE = """
import os, time
from sewcli.cli.app import main
from sewcli.training.loop import Trainer

begin = Trainer.run

def late(self):
    time.sleep(4.0 * int(os.environ["RANK"]))
    begin(self)

Trainer.run = late
main()
"""


@pytest.mark.slow
def test_two_processes_make_the_updates_that_one_makes_of_two_batches(recipe_file, tmp_path):
    """The first has taught the front end and written a checkpoint when the second looks for one."""
    program = tmp_path / "late.py"
    program.write_text(LATE)
    settings = ["steps=2", "precision=float32", "front_end_steps=2", "config.hidden_dropout=0.0"]
    settings += ["config.attention_dropout=0.0", "config.activation_dropout=0.0", "config.final_dropout=0.0"]
    settings += ["config.feat_proj_dropout=0.0", "config.layerdrop=0.0", "config.mask_time_prob=0.0"]
    arguments = ["train", recipe_file, "--data", EXAMPLES, "--device", "cpu", "--threads", "1"]
    arguments += [item for setting in settings for item in ("--set", setting)]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = [*launch, program, *arguments, "-o", tmp_path / "two"]
    done = subprocess.run(run, check=False, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr.decode()
    assert b"resumed" not in done.stderr
    recipe = load_recipe(recipe_file, EXAMPLES, settings)
    train_model(dataclasses.replace(recipe, accumulate=2), tmp_path / "one", device="cpu")
    train_model(recipe, tmp_path / "other", device="cpu")
    # Adam makes full steps of rounding errors where a gradient is next to nothing
    assert share_apart(tmp_path / "one", tmp_path / "two") < 0.02
    assert share_apart(tmp_path / "one", tmp_path / "other") > 0.2


def share_apart(first, second):
    """Share of the weights that differ by more than float16 and float32 round."""
    first, second = weights(first), weights(second)
    apart = [(first[name].float() - second[name].float()).abs().flatten() > 2e-4 for name in first]
    return float(torch.cat(apart).float().mean())


@pytest.mark.slow
def test_accelerate_launch_starts_it(recipe_file, tmp_path):
    launch = ["accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"]
    arguments = ["train", recipe_file, "--data", EXAMPLES, "--device", "cpu", "--set", "steps=1"]
    run = [sys.executable, "-m", *launch, "-m", "sewcli", *arguments, "-o", tmp_path / "run"]
    done = subprocess.run(run, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "run/model/model.safetensors").exists()

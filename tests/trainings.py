"""Small trainings on the example clips."""

import json
from pathlib import Path

import numpy as np
import soundfile
from safetensors.torch import load_file

from sewcli.inputs.manifest import load_manifest
from sewcli.training.cache import AudioCache
from sewcli.training.ctc import CtcTask
from sewcli.training.recipe import load_recipe
from sewcli.training.vocabulary import Speller, english_vocabulary

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
CONFIG = RECIPE.split("[config]")[1]


class At:
    """Observer that does something after one update."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def updated(self, step, loss, rate, speed):
        if step == self.step:
            self.action()

    def evaluated(self, record, pairs):
        pass

    def close(self):
        pass


def weights(run):
    """What a run has exported."""
    return load_file(run / "model/model.safetensors")


def interrupt():
    """What Ctrl-C does."""
    raise KeyboardInterrupt


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


def make_task(recipe_file, directory, *settings):
    """The task of the examples and a random model for it."""
    from networks import random_model

    recipe = load_recipe(recipe_file, EXAMPLES, ["batch_seconds=64", *settings])
    clips = AudioCache.build(list(load_manifest(EXAMPLES / "speech.jsonl").rows), directory)
    model = random_model("SEW", "ForCTC")
    task = CtcTask(recipe, clips, clips, Speller(english_vocabulary(), remove_punctuation=True))
    task.add_phone_head(model)
    return task, model, recipe

"""Training: recipes, good and bad."""

import dataclasses

import pytest
import torch
from trainings import EXAMPLES, RECIPE, At

from sewcli.errors import DeviceError, UsageError
from sewcli.training.checks import tell_short_course
from sewcli.training.optimizers import learning_rate
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model


@pytest.mark.parametrize(
    "setting",
    ["steps=abc", "eval_every=0", "speeds=[]", "speeds=[0.0]", "noise_snr=[1.0]", "average=2", "config=3"],
)
def test_a_setting_of_the_wrong_type_or_range_is_named(recipe_file, setting):
    with pytest.raises(UsageError, match=setting.split("=")[0]):
        load_recipe(recipe_file, EXAMPLES, [setting])


def test_a_noise_directory_without_noise_is_refused(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file, EXAMPLES, [f"noise={tmp_path}", "noise_probability=1.0"])
    with pytest.raises(UsageError, match="no noise recordings"):
        train_model(recipe, tmp_path / "run")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stepps = 3", r"no key stepps \(did you mean steps\?\)"),
        ("stepps = 3\nzzz = 1", r"no key stepps, zzz \(keys: name, task"),
        ('task = "asr"', "task is 'asr'"),
        ("steps = ", "not valid TOML"),
        (f"steps = {'[' * 10_000}", "not valid TOML: it nests"),
        ('train = "nothing.jsonl"', "cannot read the manifest"),
    ],
)
def test_a_recipe_that_cannot_work_says_why(recipe_file, tmp_path, line, message):
    key = line.split()[0]
    kept = [old for old in RECIPE.splitlines() if old.split(" ")[0] != key]
    recipe_file.write_text("\n".join([line, *kept]))
    with pytest.raises(UsageError, match=message):
        train_model(load_recipe(recipe_file, EXAMPLES, []), tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["config.mask_time_probs=0.5"], "there is no setting mask_time_probs"),
        (["init=nano", "config.hiden_dropout=0.3"], "there is no setting hiden_dropout"),
        (["config.hidden_dropout=abc"], "config.hidden_dropout is 'abc'; it must be a number from 0 to 1"),
        (["config.mask_time_prob=5"], "config.mask_time_prob is 5; it must be a number from 0 to 1"),
        (["config.intermediate_size=abc"], "the model cannot be built: .*intermediate_size"),
        (["config.hidden_size=33"], "the model cannot be built: "),
        (["freeze_feature_encoder=true"], "convolutions that are random"),
        (["freeze_layers=1"], "freeze layers that are random"),
        (["background=speech.jsonl"], "background and background_dev belong together"),
        (["task=classification", "repeat={yes = 2}"], "repeat is for task ctc"),
        (["average=1.0"], "average is 1"),
    ],
)
def test_a_setting_that_would_have_no_effect_or_cannot_be_is_refused(
    recipe_file, tmp_path, settings, message
):
    with pytest.raises(UsageError, match=message):
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")


def test_a_set_that_no_clip_is_of_is_told(recipe_file, tmp_path, caplog):
    settings = ["steps=1", "repeat={nowhere = 2}"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    assert "repeat: no training clip is of the set nowhere" in caplog.messages


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["steps=1", "warmup=1"], None),
        (["steps=1000", "warmup=100"], None),
        (["steps=1000", "warmup=0", "decay_from=0.0"], None),
        (["steps=10", "warmup=5", "decay_from=1.0"], None),
        (["steps=120", "warmup=100", "decay_from=0.6"], "the rate rises to 81 % of peak_rate only"),
        (["steps=5", "warmup=10", "decay_from=1.0"], "the rate rises to 50 % of peak_rate only"),
    ],
)
def test_a_course_that_does_not_come_near_its_peak_is_told(recipe_file, caplog, settings, told):
    recipe = load_recipe(recipe_file, EXAMPLES, settings)
    tell_short_course(recipe)
    assert [message.split(":")[0] for message in caplog.messages] == ([told] if told else [])
    highest = max(learning_rate(recipe, step) for step in range(recipe.steps)) / recipe.peak_rate
    assert (highest < 0.95) == bool(told)
    if told:
        assert f"to {100 * highest:.0f} %" in told


def test_a_recipe_may_begin_with_a_mark_of_byte_order(recipe_file):
    recipe_file.write_text("\ufeff" + recipe_file.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_recipe(recipe_file, EXAMPLES, []).name


def test_one_clip_is_not_enough_to_hold_out_another(recipe_file, tmp_path):
    line = (EXAMPLES / "speech.jsonl").read_text().splitlines()[0]
    (tmp_path / "one.jsonl").write_text(
        line.replace('"audio_filepath": "', f'"audio_filepath": "{EXAMPLES}/')
    )
    recipe = load_recipe(recipe_file, EXAMPLES, [f"train={tmp_path}/one.jsonl"])
    with pytest.raises(UsageError, match="one training clip, and none for dev"):
        train_model(dataclasses.replace(recipe, dev=None), tmp_path / "run")


@pytest.mark.parametrize("device", ["nonsense", "xpu"])
def test_a_device_that_is_none_is_refused(recipe_file, tmp_path, device):
    with pytest.raises(UsageError, match=device):
        train_model(load_recipe(recipe_file, EXAMPLES, []), tmp_path / "run", device=device)


def test_too_little_memory_is_told(recipe_file, tmp_path):
    def fail():
        raise torch.OutOfMemoryError("CUDA out of memory")

    recipe = load_recipe(recipe_file, EXAMPLES, [])
    with pytest.raises(DeviceError, match="not enough memory for a batch of 8 s") as caught:
        train_model(recipe, tmp_path / "run", observers=[At(1, fail)])
    assert "--set batch_seconds=4 --set accumulate=2" in caught.value.hint


@pytest.mark.parametrize(("text", "value"), [(".5", 0.5), ("1.", 1.0), ("0.25", 0.25), ("1", 1)])
def test_numbers_are_written_as_people_do(recipe_file, text, value):
    recipe = load_recipe(recipe_file, EXAMPLES, [f"label_smoothing={text}"])
    assert recipe.label_smoothing == value

"""Training: recipes, good and bad."""

import pytest
from trainings import EXAMPLES, RECIPE

from sewcli.errors import UsageError
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

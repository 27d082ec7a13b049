"""Training: the weights that a model takes over from the one it starts from."""

import json

import pytest
import torch
from helpers import COMMIT, in_cache
from safetensors.torch import load_file
from trainings import EXAMPLES, keyword_recipe

from sewcli.errors import ModelError
from sewcli.hub.fetching import fetch
from sewcli.registry import resolve
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model

pytestmark = pytest.mark.usefixtures("undrawn")


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


def test_it_starts_from_a_revision_of_a_repository(sew, ctc, recipe_file, tmp_path):
    """The model card has the commit that a branch or a tag stood for; another init has another revision."""
    snapshot = in_cache(ctc, tmp_path / "empty-hub-cache")
    (snapshot.parent.parent / "refs" / "v2").write_text(COMMIT)
    few = ("--data", EXAMPLES, "--set", "steps=1", "--set", "config={}", "--offline", "-q")
    begun = sew("train", recipe_file, "-m", "owner/name", "--revision", "v2", *few, "-o", tmp_path / "tag")
    assert begun.code == 0, begun.err
    card = (tmp_path / "tag" / "model" / "README.md").read_text()
    assert f"from owner/name at {COMMIT}." in card
    assert 'revision = "v2"' in card
    gone = sew("train", recipe_file, "-m", "owner/name", "--revision", "v3", *few, "-o", tmp_path / "gone")
    assert gone.code == 5
    assert "owner/name at revision v3" in gone.err
    (tmp_path / "pinned.toml").write_text('init = "owner/name"\nrevision = "v3"\n' + recipe_file.read_text())
    assert load_recipe(tmp_path / "pinned.toml", EXAMPLES, []).revision == "v3"
    assert load_recipe(tmp_path / "pinned.toml", EXAMPLES, [], {"init": "nano"}).revision is None
    for settings, expected in ((["init=nano"], None), (["init=other/one", "revision=v4"], "v4")):
        assert load_recipe(tmp_path / "pinned.toml", EXAMPLES, settings).revision == expected
    alone = sew("train", recipe_file, "--revision", "v2", *few, "-o", tmp_path / "alone")
    assert alone.code == 2
    assert "revision is set and init is not" in alone.err


def test_the_family_is_that_of_the_model_it_starts_from(recipe_file, tmp_path):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1", "family=sew-d"]), tmp_path / "ctc")
    recipe = keyword_recipe(tmp_path, init=str(tmp_path / "ctc/model"), steps=1)
    train_model(load_recipe(recipe, EXAMPLES, []), tmp_path / "keywords")
    config = json.loads((tmp_path / "keywords/model/config.json").read_text())
    assert config["model_type"] == "sew-d"


def test_sew_d_starts_from_the_weights_it_shares_with_sew(recipe_file, tmp_path):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "sew")
    start = tmp_path / "sew/model"
    settings = [f"init={start}", "family=sew-d", "steps=1", "peak_rate=1e-9", "config={}"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "sew-d")
    before, after = (load_file(tmp_path / run / "model/model.safetensors") for run in ("sew", "sew-d"))
    for name, other, gain in (
        ("layers.0.attention.k_proj.weight", "encoder.layer.0.attention.self.key_proj.weight", 1.0),
        ("layers.0.attention.q_proj.bias", "encoder.layer.0.attention.self.query_proj.bias", 3**0.5),
        ("layers.0.feed_forward.output_dense.weight", "encoder.layer.0.output.dense.weight", 1.0),
        ("upsample.projection.weight", "upsample.projection.weight", 1.0),
    ):
        expected = before[f"sew.encoder.{name}"].float() * gain
        torch.testing.assert_close(after[f"sew_d.encoder.{other}"].float(), expected, rtol=2e-3, atol=1e-5)
    torch.testing.assert_close(after["lm_head.weight"], before["lm_head.weight"])
    settings = [f"init={tmp_path}/sew-d/model", "family=sew", "config={}"]
    with pytest.raises(ModelError, match="from which no SEW model can start"):
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "back")


def test_a_start_of_another_size_is_refused(recipe_file, tmp_path):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "ctc")
    recipe = load_recipe(recipe_file, EXAMPLES, [f"init={tmp_path}/ctc/model", "config.intermediate_size=32"])
    with pytest.raises(ModelError, match="does not fit"):
        train_model(recipe, tmp_path / "other")


def test_the_start_is_among_what_is_chosen_from(recipe_file, tmp_path, caplog):
    settings = ["init=nano", "config={}", "steps=1", "peak_rate=0.3", "warmup=0", "average=0.0"]
    settings += ["precision=float32", "batch_seconds=20"]
    start = load_file(fetch(resolve("nano")).directory / "model.safetensors")
    for choose, is_start in (("best", True), ("last", False)):
        recipe = load_recipe(recipe_file, EXAMPLES, [*settings, f"choose={choose}"])
        train_model(recipe, tmp_path / choose)
        made = load_file(tmp_path / choose / "model/model.safetensors")
        same = [torch.equal(made[name].float(), tensor.float()) for name, tensor in start.items()]
        assert all(same) == is_start
        assert ("what it started from" in caplog.text) == is_start
        caplog.clear()
        steps = [json.loads(line)["step"] for line in (tmp_path / choose / "metrics.jsonl").open()]
        assert steps == [0, 1]
        # it is cut into chunks, and its times are corrected, as those of what it started from
        own = json.loads((tmp_path / choose / "model/sew.json").read_text())
        spec, trained = resolve("nano"), resolve(str(tmp_path / choose / "model"))
        assert own == {"task": "ctc", "chunk": spec.defaults.chunk, "end_offset": spec.end_offset}
        assert (trained.defaults.chunk, trained.end_offset) == (spec.defaults.chunk, spec.end_offset)

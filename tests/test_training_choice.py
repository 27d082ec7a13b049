"""Training: which weights become the model, and when a run stops early."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from trainings import EXAMPLES, At, interrupt, keyword_recipe

from sewcli.inputs.manifest import load_manifest
from sewcli.training.cache import AudioCache
from sewcli.training.checkpoint import CHOSEN, load_checkpoint
from sewcli.training.classification import ClassificationTask
from sewcli.training.ctc import CtcTask
from sewcli.training.keywords import OtherSounds
from sewcli.training.observers import MetricsLog
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model
from sewcli.training.vocabulary import Speller, build_vocabulary, english_vocabulary

pytestmark = pytest.mark.usefixtures("undrawn")


def test_no_evaluation_so_far_is_no_reason_to_stop_early(recipe_file, tmp_path):
    first = ["steps=2", "eval_every=4", "save_every=1", "early_stop=1"]
    with pytest.raises(KeyboardInterrupt):
        train_model(load_recipe(recipe_file, EXAMPLES, first), tmp_path / "run", observers=[At(2, interrupt)])
    settings = ["steps=4", "eval_every=1", "early_stop=1"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    assert (tmp_path / "run/model/model.safetensors").exists()


def test_weights_that_come_from_the_same_score_are_told_apart_by_the_next_one(recipe_file, tmp_path):
    """A model that writes nothing has a word error rate of 1 for a while."""
    settings = ["steps=4", "eval_every=1", "early_stop=1", "front_end_steps=0"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").open()]
    assert {record["wer"] for record in records} == {1.0}
    assert len(records) == 4
    assert records[-1]["loss"] < records[0]["loss"]


def test_training_stops_early_where_dev_does_not_improve(recipe_file, tmp_path):
    """At a learning rate of next to nothing the first evaluation stays the best."""
    settings = ["steps=10", "eval_every=1", "early_stop=2", "peak_rate=1e-12", "front_end_steps=0"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    steps = [json.loads(line)["step"] for line in (tmp_path / "run/metrics.jsonl").open()]
    assert steps == [1, 2, 3]


@pytest.mark.parametrize(
    ("choose", "step", "words"), [("best", 1, "did best on dev"), ("last", 4, "last update")]
)
def test_the_weights_that_become_the_model(recipe_file, tmp_path, choose, step, words):
    """At a learning rate of next to nothing the first evaluation stays the best."""
    settings = ["steps=4", "eval_every=1", "peak_rate=1e-12", "front_end_steps=0", f"choose={choose}"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run", CHOSEN)["step"] == step
    assert [path.name for path in (tmp_path / "run").glob("chosen*")] == [f"chosen-{step:08d}"]
    card = (tmp_path / "run/model/README.md").read_text()
    assert words in card
    assert f" {step}." in card


@pytest.mark.parametrize("steps", [6, 8])
def test_a_run_moved_without_its_best_weights_still_gives_a_model(recipe_file, tmp_path, caplog, steps):
    recipe = load_recipe(recipe_file, EXAMPLES, [])
    train_model(recipe, tmp_path / "run")
    (tmp_path / "run/metrics.jsonl").unlink()
    for left_behind in ("model", *(path.name for path in (tmp_path / "run").glob("chosen-*"))):
        shutil.rmtree(tmp_path / "run" / left_behind)
    # at such a rate nothing after it does better
    settings = [f"steps={steps}", "peak_rate=1e-12"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    assert any("holds no chosen-*" in message for message in caplog.messages)
    assert (tmp_path / "run/model/model.safetensors").exists()
    assert f"at update {steps}." in (tmp_path / "run/model/README.md").read_text()


def test_a_run_without_an_evaluation_so_far_has_no_best_weights_to_miss(recipe_file, tmp_path, caplog):
    recipe = load_recipe(recipe_file, EXAMPLES, ["save_every=1"])
    with pytest.raises(KeyboardInterrupt):
        train_model(recipe, tmp_path / "run", observers=[At(2, interrupt)])
    with caplog.at_level("INFO", "sewcli"):
        train_model(recipe, tmp_path / "run")
    assert any(message.startswith("resumed at step 1 ") for message in caplog.messages)
    assert not any("holds no chosen" in message for message in caplog.messages)


def test_another_dev_set_is_chosen_by_from_its_beginning(recipe_file, tmp_path, caplog):
    settings = ["steps=2", "eval_every=1", "early_stop=1", "peak_rate=1e-12", "front_end_steps=0"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    other = tmp_path / "dev.jsonl"
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()][:2]
    paths = [{**row, "audio_filepath": str(EXAMPLES / row["audio_filepath"])} for row in rows]
    other.write_text("".join(json.dumps(row) + "\n" for row in paths))
    caplog.clear()
    recipe = load_recipe(recipe_file, EXAMPLES, [*settings, "steps=4", f"dev={other}"])
    train_model(recipe, tmp_path / "run")
    assert any("dev is another" in message for message in caplog.messages)
    # the same clips by another name are the same
    caplog.clear()
    shutil.copy(other, tmp_path / "copy.jsonl")
    train_model(
        load_recipe(recipe_file, EXAMPLES, [*settings, "steps=5", f"dev={tmp_path}/copy.jsonl"]),
        tmp_path / "run",
    )
    assert not any("dev is another" in message for message in caplog.messages)
    assert [record["step"] for record in MetricsLog(tmp_path / "run").records()][-1] > 2


def test_the_fingerprint_of_dev_is_that_of_what_is_scored(recipe_file, tmp_path):
    clips = AudioCache.build(list(load_manifest(EXAMPLES / "speech.jsonl").rows), tmp_path)
    rows = [
        dataclasses.replace(row, source=dataclasses.replace(row.source, text=f"{row.text}!"))
        for row in clips.rows
    ]
    marked = AudioCache(clips.samples, clips.lengths, rows)
    recipe = load_recipe(recipe_file, EXAMPLES, [])
    english, with_mark = english_vocabulary(), build_vocabulary(row.text for row in rows)

    def found(dev, vocabulary=english, **changes):
        speller = Speller(vocabulary, remove_punctuation=True)
        return CtcTask(dataclasses.replace(recipe, **changes), clips, dev, speller).dev_fingerprint

    # what is no part of the references is nothing that tells sets apart
    assert found(clips) == found(marked) == found(clips, seed=5)
    assert found(marked) != found(marked, with_mark)
    assert found(clips) != found(clips, max_seconds=6.0)


def test_the_fingerprints_of_a_classifier_have_the_clips_that_are_cut(tmp_path):
    keywords, speech = (
        AudioCache.build(list(load_manifest(EXAMPLES / f"{name}.jsonl").rows), tmp_path)
        for name in ("keywords", "speech")
    )
    fewer = AudioCache(speech.samples, speech.lengths[:4], speech.rows[:4])
    # enough clips that some are cut for dev
    many = AudioCache(np.tile(keywords.samples, 4), np.tile(keywords.lengths, 4), keywords.rows * 4)
    recipe = load_recipe(keyword_recipe(tmp_path), EXAMPLES, [])

    def task(background=(speech, speech), **changes):
        return ClassificationTask(
            dataclasses.replace(recipe, **changes), many, many, OtherSounds(*background, [])
        )

    first, alike = task(), task(peak_rate=0.5)
    assert (first.fingerprint, first.dev_fingerprint) == (alike.fingerprint, alike.dev_fingerprint)
    assert task(seed=5).fingerprint == first.fingerprint
    assert task(seed=5).dev_fingerprint != first.dev_fingerprint
    learned = task((fewer, speech))
    assert learned.fingerprint != first.fingerprint
    assert learned.dev_fingerprint == first.dev_fingerprint
    assert task((speech, fewer)).dev_fingerprint != first.dev_fingerprint


def test_clips_that_are_cut_are_not_longer_than_batches_are_made_for(tmp_path):
    keywords, speech = (
        AudioCache.build(list(load_manifest(EXAMPLES / f"{name}.jsonl").rows), tmp_path)
        for name in ("keywords", "speech")
    )
    recipe = load_recipe(keyword_recipe(tmp_path), EXAMPLES, [])
    task = ClassificationTask(recipe, keywords, keywords, OtherSounds(speech, speech, []))
    cut = range(len(keywords), task.lengths.size)
    assert cut
    rng = np.random.default_rng(0)
    sizes = [task.example(index, 1.0, rng)[0].size for index in cut for _ in range(50)]
    assert 0.9 * task.lengths[cut].max() < max(sizes) <= task.lengths[cut].min()

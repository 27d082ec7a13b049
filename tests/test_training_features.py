"""Training with what frozen convolutions give of each clip, computed once."""

import dataclasses
import sys

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from trainings import EXAMPLES

import sewcli
from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.forward import convolutions
from sewcli.acoustic.statistics import wave_statistics
from sewcli.chunking import frame_count
from sewcli.errors import SewError, UsageError
from sewcli.inputs.manifest import load_manifest
from sewcli.training import features
from sewcli.training.augment import change_speed, limit_band
from sewcli.training.cache import AudioCache
from sewcli.training.ctc import CtcTask
from sewcli.training.features import FeatureCache, change_tempo
from sewcli.training.feed import Feed
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model
from sewcli.training.vocabulary import Speller, english_vocabulary

pytestmark = pytest.mark.usefixtures("undrawn")

UNCHANGED = ["speeds=[1.0]", "freeze_feature_encoder=true"]
KEPT = [*UNCHANGED, "keep_features=1"]


@pytest.fixture(params=["sew", "sew-d"])
def start(request, recipe_file, tmp_path):
    """A small model to start from."""
    settings = ["steps=1", "front_end_steps=0", f"family={request.param}"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "start")
    return tmp_path / "start/model"


def task_and_model(recipe_file, start, directory):
    import transformers

    recipe = load_recipe(recipe_file, EXAMPLES, [f"init={start}", *KEPT, "batch_seconds=64"])
    rows = list(load_manifest(EXAMPLES / "speech.jsonl").rows)
    clips = AudioCache.build(rows, directory)
    kind = (
        transformers.SEWDForCTC
        if (start / "config.json").read_text().count("sew-d")
        else transformers.SEWForCTC
    )
    model = kind.from_pretrained(start, dtype=torch.float32).eval()
    return recipe, CtcTask(recipe, clips, clips, Speller(english_vocabulary())), model, clips


def build(model, source, clips, recipe, directory):
    """The features of all clips."""
    return FeatureCache.build(model, source, clips, np.arange(len(clips)), recipe, directory)


def test_batches_of_features_have_the_loss_of_batches_of_samples(recipe_file, start, tmp_path):
    recipe, task, model, _ = task_and_model(recipe_file, start, tmp_path)
    plain = iter(Feed(recipe, task))
    _, samples, targets = next(plain)
    plain.close()
    task.keep_features(model, start, tmp_path)
    kept = iter(Feed(recipe, task))
    _, features, same_targets = next(kept)
    assert len(targets) > 1
    assert same_targets == targets
    assert features.frame_counts == samples.frame_counts
    assert len(set(samples.frame_counts)) > 1
    with torch.no_grad():
        given = convolutions(model, features)
        for row, expected, frames in zip(
            given, convolutions(model, samples), samples.frame_counts, strict=True
        ):
            torch.testing.assert_close(row[:, :frames], expected[:, :frames], rtol=1e-3, atol=1e-4)
        loss = task.loss(model, samples, targets)
        torch.testing.assert_close(task.loss(model, features, targets), loss, rtol=1e-3, atol=0)
    kept.close()


def test_updates_are_those_of_the_samples(recipe_file, start, tmp_path):
    settings = [f"init={start}", "steps=3", "peak_rate=1e-3", "average=0.0", "precision=float32"]
    settings += ["choose=last"]
    # one batch of all clips, and nothing drawn for its padding: batches of features have other sizes
    settings += ["batch_seconds=64", "config.mask_time_prob=0.0"]
    dropouts = ("hidden", "attention", "activation", "feat_proj", "final")
    settings += [f"config.{name}_dropout=0.0" for name in dropouts]
    found = {}
    for name, more in {"plain": UNCHANGED, "kept": KEPT}.items():
        train_model(load_recipe(recipe_file, EXAMPLES, [*settings, *more]), tmp_path / name)
        found[name] = load_file(tmp_path / name / "model/model.safetensors")
    before = load_file(start / "model.safetensors")
    moved = 0
    for name, tensor in found["plain"].items():
        change = (tensor.float() - before[name].float()).norm()
        assert (found["kept"][name].float() - tensor.float()).norm() <= 0.1 * change + 1e-3, name
        moved += int(change > 0.01)
        if "feature_extractor" in name:
            assert torch.equal(found["kept"][name], before[name])
    assert moved > 5


def test_they_are_computed_again_for_other_weights_alone(recipe_file, start, tmp_path):
    recipe, _, model, clips = task_and_model(recipe_file, start, tmp_path)

    def clip(source=start):
        return build(model, source, clips, recipe, tmp_path).clip(1, np.random.default_rng(0))

    first = clip().copy()
    [file] = tmp_path.glob("*.float16")
    made = file.stat().st_mtime_ns
    np.testing.assert_array_equal(clip(), first)
    assert file.stat().st_mtime_ns == made
    with torch.no_grad():
        for parameter in next(iter(model.children())).feature_extractor.parameters():
            parameter.mul_(1.1)
    model.save_pretrained(tmp_path / "other")
    assert not np.array_equal(clip(tmp_path / "other"), first)
    assert len(list(tmp_path.glob("*.float16"))) == 2
    assert not list(tmp_path.glob("*.tmp"))


def test_they_are_computed_again_for_other_recordings_of_noise(recipe_file, start, tmp_path):
    _, _, model, clips = task_and_model(recipe_file, start, tmp_path)
    for folder in ("noise", "kept"):
        (tmp_path / folder).mkdir()
    settings = [f"init={start}", "freeze_feature_encoder=true", "keep_features=1", f"noise={tmp_path}/noise"]
    recipe = load_recipe(recipe_file, EXAMPLES, [*settings, "noise_probability=1.0"])
    found = []
    for seed in (0, 1):
        hiss = np.random.default_rng(seed).standard_normal(32_000) * 0.1
        soundfile.write(tmp_path / "noise/hiss.wav", hiss, 16_000)
        kept = build(model, start, clips, recipe, tmp_path / "kept")
        found.append(kept.clip(0, np.random.default_rng(0)).copy())
    assert not np.array_equal(*found)


def test_changed_versions_are_those_the_convolutions_give_of_changed_clips(recipe_file, start, tmp_path):
    _, task, model, clips = task_and_model(recipe_file, start, tmp_path)
    changes = ["speeds=[0.8]", "band_probability=1.0", "keep_features=2"]
    recipe = load_recipe(recipe_file, EXAMPLES, [f"init={start}", *KEPT, *changes])
    cache = build(model, start, clips, recipe, tmp_path)
    samples = limit_band(change_speed(clips.clip(1), 0.8))
    batch = make_batch([samples], [wave_statistics(samples)], normalize=True)
    with torch.no_grad():
        expected = convolutions(model, batch)[0].T[: batch.frame_counts[0]]
    for seed in range(4):  # of one speed and band there is only one version
        given = torch.from_numpy(cache.clip(1, np.random.default_rng(seed)).astype(np.float32))
        torch.testing.assert_close(given, expected, rtol=2e-3, atol=2e-4)
    # and batches have their lengths
    task = CtcTask(recipe, clips, clips, task.speller)
    task.keep_features(model, start, tmp_path)
    _, features, targets = next(iter(Feed(recipe, task)))
    assert len(targets) == len(features.frame_counts)
    slow = {frame_count(limit_band(change_speed(clips.clip(i), 0.8)).size) for i in range(len(clips))}
    assert set(features.frame_counts) <= slow


def test_versions_of_different_speeds_take_turns(recipe_file, start, tmp_path):
    _, _, model, clips = task_and_model(recipe_file, start, tmp_path)
    changes = ["speeds=[0.8, 0.9, 1.0, 1.1, 1.2]", "keep_features=3"]
    recipe = load_recipe(recipe_file, EXAMPLES, [f"init={start}", *KEPT, *changes])
    cache = build(model, start, clips, recipe, tmp_path)
    lengths = {len(cache.clip(1, np.random.default_rng(seed))) for seed in range(20)}
    assert len(lengths) > 1
    assert len(list(tmp_path.glob("*.float16"))) == 3


def test_a_set_can_have_fewer_versions(recipe_file, start, tmp_path):
    _, _, model, clips = task_and_model(recipe_file, start, tmp_path)
    sets = ["few" if clip % 2 else "many" for clip in range(len(clips))]
    rows = [dataclasses.replace(row, set=name) for row, name in zip(clips.rows, sets, strict=True)]
    clips = AudioCache(clips.samples, clips.lengths, rows)
    changes = ["speeds=[0.8, 0.9, 1.0, 1.1, 1.2]", "keep_features=3", "feature_versions={few=1}"]
    recipe = load_recipe(recipe_file, EXAMPLES, [f"init={start}", *KEPT, *changes])
    cache = build(model, start, clips, recipe, tmp_path)
    for clip in range(len(sets)):  # the versions of a clip are its own
        own = {frame_count(change_speed(clips.clip(clip), speed).size) for speed in recipe.speeds}
        assert {len(cache.clip(clip, np.random.default_rng(seed))) for seed in range(20)} <= own
    for clip, name in enumerate(sets):
        found = {cache.clip(clip, np.random.default_rng(seed)).tobytes() for seed in range(20)}
        assert all(found)
        assert len(found) == 1 if name == "few" else len(found) > 1
    sizes = sorted(file.stat().st_size for file in tmp_path.glob("*.float16"))
    assert len(sizes) == 3
    assert sizes[1] < sizes[2]


def test_clips_that_are_left_out_have_none(recipe_file, start, tmp_path):
    recipe, task, model, clips = task_and_model(recipe_file, start, tmp_path)
    middle = float(np.median(clips.lengths)) / 16_000
    task = CtcTask(dataclasses.replace(recipe, max_seconds=middle), clips, clips, task.speller)
    assert 0 < task.used.size < len(clips)
    task.keep_features(model, start, tmp_path)
    [file] = tmp_path.glob("*.float16")
    frames = sum(frame_count(length) for length in clips.lengths[task.used].tolist())
    assert file.stat().st_size == frames * model.config.conv_dim[-1] * 2
    whole = build(model, start, clips, recipe, tmp_path)
    for index, clip in enumerate(task.clips):
        rng = np.random.default_rng(0)
        np.testing.assert_array_equal(task.kept(index, rng)[0], whole.clip(clip, rng))


def test_a_disk_without_room_for_them_is_told(recipe_file, start, tmp_path, monkeypatch):
    import resource

    task_and_model(recipe_file, start, tmp_path / "run/cache")  # the samples are there
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    compute = features._compute

    def limited(*given, **named):
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limit[1]))
        try:
            compute(*given, **named)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    monkeypatch.setattr(features, "_compute", limited)
    # the bytecode of a module that is imported meanwhile would be cut too, and stay so
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with pytest.raises(SewError, match=r"no room for .*File too large .*--resume"):
        train_model(load_recipe(recipe_file, EXAMPLES, [f"init={start}", *KEPT]), tmp_path / "run")


def test_tempo_is_interpolated_between_frames():
    frames = np.arange(21, dtype=np.float16)[:, None] * np.array([1.0, -2.0], dtype=np.float16)
    slow, fast = change_tempo(frames, 0.5), change_tempo(frames, 2.0)
    assert (len(slow), len(fast)) == (42, 10)
    for changed in (slow, fast):
        expected = np.linspace(0, 20, len(changed))[:, None] * [1.0, -2.0]
        np.testing.assert_allclose(changed, expected, atol=0.05)
    assert change_tempo(frames, 1.0) is frames
    assert len(change_tempo(frames[:1], 0.5)) == 1
    assert len(change_tempo(frames[:2], 2.0)) == 2


def test_batches_have_the_tempo_of_the_recipe(recipe_file, start, tmp_path):
    _, task, model, clips = task_and_model(recipe_file, start, tmp_path)
    recipe = load_recipe(recipe_file, EXAMPLES, [f"init={start}", *KEPT, "feature_tempo=[0.8, 0.8]"])
    task = CtcTask(recipe, clips, clips, task.speller)
    task.keep_features(model, start, tmp_path)
    _, features, _ = next(iter(Feed(recipe, task)))
    assert set(features.frame_counts) <= {round(frame_count(n) / 0.8) for n in clips.lengths.tolist()}


def test_texts_fit_what_is_left_of_them_at_the_fastest_tempo(recipe_file, start, tmp_path):
    _, task, model, clips = task_and_model(recipe_file, start, tmp_path)
    kept = {}
    for tempo in (1.0, 5.0):
        changes = [f"init={start}", *KEPT, f"feature_tempo=[{tempo}, {tempo}]"]
        recipe = load_recipe(recipe_file, EXAMPLES, changes)
        task = CtcTask(recipe, clips, clips, task.speller)
        task.keep_features(model, start, tmp_path)
        kept[tempo] = task.clips
        for index in range(len(task.clips)):
            features, target = task.kept(index, np.random.default_rng(0))
            assert len(features) // 2 * 2 >= len(target.tokens)
    assert set(kept[5.0]) < set(kept[1.0])


@pytest.mark.parametrize("setting", ["feature_tempo=[0.9, 1.1]", "feature_versions={few=2}"])
def test_settings_of_kept_features_need_them(recipe_file, tmp_path, setting):
    with pytest.raises(UsageError, match="are for kept features"):
        train_model(load_recipe(recipe_file, EXAMPLES, [setting]), tmp_path)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("freeze_feature_encoder=false", "freeze_feature_encoder is not set"),
        ("front_end_steps=3", "they come from no model"),
        ("task=classification", "task is not ctc"),
    ],
)
def test_what_changes_the_convolutions_is_refused(recipe_file, tmp_path, setting, reason):
    recipe = load_recipe(recipe_file, EXAMPLES, ["front_end_steps=0", *KEPT, setting])
    with pytest.raises(UsageError, match=f"keep_features.*{reason}"):
        train_model(recipe, tmp_path)


def test_an_embedded_model_is_tuned_so(recipe_file, tmp_path):
    settings = ["init=nano", "steps=1", *KEPT, "config={}"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path)
    text = sewcli.load(tmp_path / "model").transcribe(EXAMPLES / "speech/go-forward.wav").text
    assert text

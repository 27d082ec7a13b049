"""The changes that training makes to its clips."""

import dataclasses

import numpy as np
import pytest
import soundfile
from trainings import EXAMPLES

from sewcli.training.augment import (
    Augmentation,
    add_noise,
    add_room,
    change_response,
    change_speed,
    cut,
    limit_band,
    noise_files,
    room_files,
)
from sewcli.training.recipe import load_recipe


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
    starts = {clip.tolist().index(cut(clip, 1_000, rng)[0]) for _ in range(20)}
    assert len(starts) > 10


def test_a_room_is_heard_as_often_as_asked_for_and_noise_at_any_of_its_levels(recipe_file):
    recipe = load_recipe(recipe_file, EXAMPLES, ["noise_probability=1.0", "noise_snr=[5, 25]"])
    rng = np.random.default_rng(1)
    clip, noise = rng.standard_normal((2, 16_000)).astype(np.float32)
    room = np.r_[1.0, np.zeros(400), 0.5].astype(np.float32)
    for probability, heard in ((1.0, add_room(clip, room)), (0.0, clip)):
        asked = dataclasses.replace(recipe, noise_probability=0.0, room_probability=probability)
        np.testing.assert_array_equal(Augmentation(asked, [], [room]).apply(clip, rng), heard)
    added = [Augmentation(recipe, [noise], []).apply(clip, rng) - clip for _ in range(60)]
    levels = [10 * np.log10(np.mean(clip**2) / np.mean(one**2)) for one in added]
    assert 4.9 < min(levels) < 8
    assert 22 < max(levels) < 25.1


def test_a_room_begins_with_its_direct_sound(recipe_file, tmp_path):
    soundfile.write(tmp_path / "rir-a.wav", np.r_[np.zeros(700), 0.9, 0.2, np.zeros(300)], 16_000)
    recipe = load_recipe(recipe_file, EXAMPLES, ["room_probability=1.0", f"rooms={tmp_path}"])
    [room] = Augmentation.load(recipe).rooms
    assert room[:2] == pytest.approx([0.9, 0.2], abs=1e-3)
    assert room.size == 302


def test_noise_and_rooms_are_all_audio_below_their_directories(recipe_file, tmp_path):
    for name in ("noise/free-sound/hum.wav", "noise/rir-hall.wav", "rooms/small/Room001.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, np.r_[0.5, np.zeros(799)], 16_000)
    shares = ["noise_probability=0.5", "room_probability=0.5"]
    noise = [*shares, f"noise={tmp_path / 'noise'}"]
    recipe = load_recipe(recipe_file, EXAMPLES, noise)
    assert [file.name for file in noise_files(recipe.noise)] == ["hum.wav"]
    assert [file.name for file in room_files(recipe)] == ["rir-hall.wav"]
    recipe = load_recipe(recipe_file, EXAMPLES, [*noise, f"rooms={tmp_path / 'rooms'}"])
    assert [file.name for file in room_files(recipe)] == ["Room001.wav"]
    loaded = Augmentation.load(recipe)
    assert (len(loaded.noises), len(loaded.rooms)) == (1, 1)


def test_a_room_and_a_telephone_keep_length_and_power_and_do_what_they_say():
    rng = np.random.default_rng(1)
    clip = rng.standard_normal(16_001).astype(np.float32)
    response = np.zeros(800, dtype=np.float32)
    response[[0, 400]] = 1.0, 0.5
    heard = add_room(clip, response)
    assert heard.size == clip.size
    assert np.mean(heard**2) == pytest.approx(np.mean(clip**2), rel=1e-4)
    assert np.corrcoef(heard[400:], clip[:-400])[0, 1] > 0.3
    narrow = limit_band(clip)
    assert narrow.size == clip.size
    spectrum = np.abs(np.fft.rfft(narrow)) ** 2
    assert spectrum[4200:].sum() < 1e-3 * spectrum[:3800].sum()


def test_another_response_changes_bands_and_not_the_time_course():
    rng = np.random.default_rng(2)
    clip = rng.standard_normal(16_007).astype(np.float32)  # a length without small factors
    clip[4000:8000] = 0.0
    before = np.abs(np.fft.rfft(clip)) ** 2
    stopped = 0
    for _ in range(10):
        heard = change_response(clip, rng)
        assert (heard.size, heard.dtype) == (clip.size, np.float32)
        assert np.mean(heard**2) == pytest.approx(np.mean(clip**2), rel=1e-3)
        assert np.mean(heard[4500:7500] ** 2) < 0.01 * np.mean(heard[8500:] ** 2)
        after = np.abs(np.fft.rfft(heard)) ** 2
        gains = [
            10 * np.log10(after[start : start + 100].sum() / before[start : start + 100].sum())
            for start in range(0, 8000, 100)
        ]
        assert max(gains) - min(gains) > 5
        stopped += min(gains) < -25
    assert 0 < stopped < 10


def test_a_recipe_asks_for_responses(recipe_file):
    clip = np.random.default_rng(3).standard_normal(8_000).astype(np.float32)
    for probability, same in ((0.0, True), (1.0, False)):
        recipe = load_recipe(recipe_file, EXAMPLES, [f"response_probability={probability}"])
        changed = Augmentation.load(recipe).apply(clip, np.random.default_rng(0))
        assert np.array_equal(changed, clip) == same

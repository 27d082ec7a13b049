"""Training: clips, batches and the changes made to them."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import soundfile
from helpers import babble
from trainings import EXAMPLES

from sewcli.audio import checks
from sewcli.errors import UsageError
from sewcli.inputs.manifest import read_manifest
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
from sewcli.training.cache import AudioCache, usable_dev_clips
from sewcli.training.classification import ClassificationTask
from sewcli.training.keywords import OtherSounds
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model
from sewcli.training.vocabulary import Speller, build_vocabulary, english_vocabulary

pytestmark = pytest.mark.usefixtures("undrawn")


def speech_rows():
    """The rows of the examples, with paths that hold anywhere."""
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()]
    return [row | {"audio_filepath": str(EXAMPLES / row["audio_filepath"])} for row in rows]


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


def test_a_bad_manifest_line_is_named(tmp_path):
    manifest = tmp_path / "train.jsonl"
    manifest.write_text('{"audio_filepath": "a.wav", "text": "A"}\n\n{"text": "B"}\n')
    with pytest.raises(UsageError, match=r"train.jsonl:3"):
        read_manifest(manifest)


def test_clips_that_cannot_be_used_are_counted_and_left_out(recipe_file, tmp_path, caplog):
    rows = speech_rows()
    rows[0]["text"] = "FÜNF"
    rows[1]["text"] = "A VERY LONG TEXT " * 30
    rows[2]["text"] = ""
    rows.append({"audio_filepath": "missing.wav", "text": "A"})
    manifest = tmp_path / "train.jsonl"
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    recipe = load_recipe(recipe_file, EXAMPLES, [f"train={manifest}", "steps=1"])
    with pytest.raises(UsageError, match=r"train.jsonl:3: .*--skip-bad"):
        train_model(recipe, tmp_path / "refused")
    rows[2]["text"] = "ONE"
    rows.pop()
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    told = r"train.jsonl:1: .*the vocabulary has no 'Ü'.*vocabulary=build.*--skip-bad"
    with pytest.raises(UsageError, match=told):
        train_model(recipe, tmp_path / "refused")
    rows[2]["text"] = ""
    rows.append({"audio_filepath": "missing.wav", "text": "A"})
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    train_model(recipe, tmp_path / "run", skip_bad=True)
    messages = " ".join(record.getMessage() for record in caplog.records)
    for reason in (
        "the vocabulary has no 'Ü'",
        "text longer than its frames",
        "train.jsonl:1: ",
        "train.jsonl:2: ",
        "train.jsonl:3: ",
        "missing.wav",
    ):
        assert reason in messages


def test_dev_texts_that_cannot_be_spelled_are_bad_rows_too(recipe_file, tmp_path, caplog):
    rows = speech_rows()
    rows[1]["text"] = "FÜNF"
    manifest = tmp_path / "dev.jsonl"
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    recipe = load_recipe(recipe_file, EXAMPLES, [f"dev={manifest}", "steps=1"])
    with pytest.raises(UsageError, match=r"dev.jsonl:2: .*the vocabulary has no 'Ü'.*--skip-bad"):
        train_model(recipe, tmp_path / "run")
    train_model(recipe, tmp_path / "run", skip_bad=True)
    assert f"1 of {len(rows)} dev clips left out: characters outside the vocabulary" in caplog.messages
    manifest.write_text(json.dumps(rows[1]))
    with pytest.raises(UsageError, match="dev: no text can be spelled"):
        train_model(recipe, tmp_path / "other", skip_bad=True)


def test_clips_of_no_length_and_of_ten_minutes_are_told(recipe_file, tmp_path, caplog):
    rows = speech_rows()[:2]
    for name, samples in (("none.wav", 0), ("long.wav", 600 * 16_000)):
        soundfile.write(tmp_path / name, np.zeros(samples), 16_000)
        rows.append({"audio_filepath": name, "text": "ONE"})
    manifest = tmp_path / "train.jsonl"
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    recipe = load_recipe(recipe_file, EXAMPLES, [f"train={manifest}", "steps=1"])
    with pytest.raises(UsageError, match=r"train.jsonl:3: .*none.wav"):
        train_model(recipe, tmp_path / "run")
    train_model(recipe, tmp_path / "run", skip_bad=True)
    messages = "\n".join(caplog.messages)
    assert f"{manifest}:3: " in messages
    assert f"{manifest}:4: long.wav: 600 s, outside 0.2 to 16 s" in messages


def test_a_clip_that_cannot_be_decoded_is_a_bad_row_each_time(recipe_file, tmp_path, caplog):
    """Also where an earlier run has decoded the others already."""
    rows = speech_rows()[:3]
    (tmp_path / "junk.wav").write_text("no audio")
    rows.insert(1, {"audio_filepath": "junk.wav", "text": "A"})
    manifest = tmp_path / "train.jsonl"
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    recipe = load_recipe(recipe_file, EXAMPLES, [f"train={manifest}", "steps=1"])
    for _ in range(2):
        with pytest.raises(UsageError, match=r"train.jsonl:2: .*junk.wav.*--skip-bad"):
            train_model(recipe, tmp_path / "run")
    train_model(recipe, tmp_path / "run", skip_bad=True)
    assert any(message.startswith(f"{manifest}:2: ") for message in caplog.messages)
    assert "1 of 4 clips left out: unreadable" in caplog.messages


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


def test_dev_clips_that_are_too_long_are_counted_and_left_out(tmp_path, caplog):
    clips = AudioCache.build(read_manifest(EXAMPLES / "speech.jsonl"), tmp_path)
    kept = usable_dev_clips(clips, 3.0)
    assert 0 < kept.size < len(clips)
    assert clips.lengths[kept].max() <= 3.0 * 16000 < clips.lengths.max()
    assert f"{len(clips) - kept.size} of {len(clips)} dev clips left out: longer than 3 s" in caplog.messages
    with pytest.raises(UsageError, match="all clips are too long"):
        usable_dev_clips(clips, 0.3)


def test_a_vocabulary_built_from_texts_spells_them():
    vocabulary = build_vocabulary(["grüße an alle", "ça va"])
    speller = Speller(vocabulary)
    assert speller.normalize("Grüße  AN\talle") == "grüße an alle"
    ids = speller.encode("grüße an")
    assert "".join(vocabulary.tokens[i] for i in ids) == "grüße|an"
    assert not {vocabulary.blank, *vocabulary.special} & set(ids)
    with pytest.raises(ValueError, match="'x'"):
        speller.encode("x")
    with pytest.raises(UsageError, match="stands for the space"):
        build_vocabulary(["a|b"])


def test_punctuation_is_removed_only_where_asked():
    keep, remove = Speller(english_vocabulary()), Speller(english_vocabulary(), remove_punctuation=True)
    assert (
        remove.normalize("Don\u2019t stop \u2014 it's \u201cfine\u201d, isn't it?")
        == "DON'T STOP IT'S FINE ISN'T IT"
    )
    with pytest.raises(ValueError, match="','"):
        keep.encode(keep.normalize("Stop, now"))


def test_a_vocabulary_built_where_punctuation_is_removed_has_no_marks():
    texts = ["Don\u2019t, please!", "\u201cYes\u201d \u2013 it's"]
    speller = Speller(build_vocabulary(texts, remove_punctuation=True), remove_punctuation=True)
    assert speller.vocabulary.text_tokens == set("Don'tpleaseYsi")
    assert [speller.normalize(text) for text in texts] == ["Don't please", "Yes it's"]
    without = Speller(build_vocabulary(["dont"]), remove_punctuation=True)
    assert without.normalize("DON\u2019T, 'dont'") == "dont dont"


def test_dev_clips_that_are_learned_are_told(recipe_file, tmp_path, caplog):
    speech = speech_rows()
    for name, rows in (("a.jsonl", speech[:3]), ("b.jsonl", speech[2:4])):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [f"train={tmp_path}/a.jsonl", f"dev={tmp_path}/b.jsonl", "steps=1"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    assert any(told.startswith("1 of 2 dev clips are among those of training") for told in caplog.messages)


def test_other_speech_holds_no_keyword_however_it_is_written(tmp_path):
    texts = ["Seven, he said", "(stop)", "the view-glass broke", "nothing of that"]
    rows = []
    for number, text in enumerate(texts):
        soundfile.write(tmp_path / f"{number}.wav", babble(1.0), 16_000)
        rows.append({"audio_filepath": f"{number}.wav", "text": text})
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    clips = AudioCache.build(read_manifest(tmp_path / "m.jsonl"), tmp_path)
    other = OtherSounds(clips, clips, [])
    other.leave_out(["seven", "stop", "view_glass"])
    assert other._usable[0].tolist() == [3]


def test_labels_without_a_clip_to_learn_from_are_none(recipe_file, tmp_path, caplog):
    rows = []
    for number, (label, seconds) in enumerate(
        [("yes", 1.0), ("cafe\u0301", 1.0), ("caf\u00e9 ", 1.0), ("hum", 9.0)]
    ):
        soundfile.write(tmp_path / f"{number}.wav", babble(seconds), 16_000)
        rows.append({"audio_filepath": f"{number}.wav", "label": label})
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    clips = AudioCache.build(read_manifest(tmp_path / "m.jsonl"), tmp_path)
    recipe = load_recipe(recipe_file, EXAMPLES, ["task=classification", "max_seconds=2"])
    assert ClassificationTask(recipe, clips, clips, None).labels == ["caf\u00e9", "yes"]
    assert any("not have the label hum" in told for told in caplog.messages)


def test_files_of_another_length_than_their_rows_say_are_told(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(checks, "_announced", itertools.count())
    rows = []
    for number, (seconds, told) in enumerate([(3.0, 3.2), (3.0, 1.0), (3.0, 500.0), *[(3.0, 1.0)] * 5]):
        soundfile.write(tmp_path / f"{number}.wav", babble(seconds), 16_000)
        rows.append({"audio_filepath": f"{number}.wav", "text": "A", "duration": told})
    part = {"audio_filepath": "0.wav", "text": "A", "offset": 0.0, "duration": 1.0}
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, part]))
    clips = AudioCache.build(read_manifest(tmp_path / "m.jsonl"), tmp_path)
    assert clips.lengths.tolist() == [48_000] * 8 + [16_000]
    told = [message for message in caplog.messages if "its row has a duration" in message]
    assert len(told) == 5
    assert (
        '1.wav: 3.0 s, and its row has a duration of 1.0 s: all of it is read (a part begins with "offset"'
        in told[0]
    )
    assert told[-1].endswith("others of the kind are not told")


def test_a_part_of_which_the_file_has_less_is_told(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(checks, "_announced", itertools.count())
    soundfile.write(tmp_path / "a.wav", babble(3.0), 16_000)
    parts = [(1.0, 1.95), (1.0, 2.1), (2.0, 9.0)]
    rows = [{"audio_filepath": "a.wav", "text": "A", "offset": at, "duration": long} for at, long in parts]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    clips = AudioCache.build(read_manifest(tmp_path / "m.jsonl"), tmp_path)
    assert clips.lengths.tolist() == [31_200, 32_000, 16_000]
    [told] = [message for message in caplog.messages if "its row has" in message]
    assert told.endswith("a.wav: its row has a part of 9.0 s, of which the file holds 1.0 s: these are read")

"""The clips that training learns from, and their texts and labels."""

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

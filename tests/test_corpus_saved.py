"""Data sets that `datasets` saved, in one piece and in splits."""

import json
import shutil

import pytest
from trainings import EXAMPLES

from sewcli.errors import UsageError
from sewcli.inputs.corpus import corpus_hash, corpus_task, has_split, load_corpus, read_corpus


def test_a_saved_data_set_is_unpacked(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()][:3]
    clips = [{"bytes": (EXAMPLES / row["audio_filepath"]).read_bytes(), "path": None} for row in rows]
    table = datasets.Dataset.from_dict({"audio": clips, "sentence": [row["text"] for row in rows]})
    table = table.cast_column("audio", datasets.Audio(decode=False))
    table.save_to_disk(str(tmp_path / "saved"))
    read = read_corpus(tmp_path / "saved", tmp_path / "unpacked", task="ctc")
    assert [row.text for row in read] == [row["text"] for row in rows]
    for row, original in zip(read, rows, strict=True):
        assert row.source.file.read_bytes() == (EXAMPLES / original["audio_filepath"]).read_bytes()


def saved(path, clips, texts):
    datasets = pytest.importorskip("datasets")
    audio = [None if clip is None else {"bytes": clip, "path": None} for clip in clips]
    table = datasets.Dataset.from_dict({"audio": audio, "text": texts})
    shutil.rmtree(path, ignore_errors=True)
    table.cast_column("audio", datasets.Audio(decode=False)).save_to_disk(str(path))


def test_of_a_saved_dictionary_each_use_has_its_split(tmp_path):
    datasets = pytest.importorskip("datasets")
    for split in ("train", "validation", "test"):
        saved(tmp_path / split, [split.encode()], [split.upper()])
    splits = {
        split: datasets.load_from_disk(str(tmp_path / split)) for split in ("train", "validation", "test")
    }
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "all"))
    for split, text in (("train", "TRAIN"), ("dev", "VALIDATION"), ("test", "TEST")):
        assert has_split(tmp_path / "all", split)
        (row,) = read_corpus(tmp_path / "all", tmp_path / "unpacked", task="ctc", split=split)
        assert (row.text, row.source.file.read_bytes()) == (text, text.lower().encode())
    del splits["test"]
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "two"))
    assert not has_split(tmp_path / "two", "test")
    with pytest.raises(UsageError, match="has splits train, validation, none is test"):
        load_corpus(tmp_path / "two", tmp_path, split="test")
    assert not has_split(tmp_path / "train", "train")


def test_a_saved_row_without_text_or_audio_is_no_clip(tmp_path):
    clip = (EXAMPLES / "speech/go-forward.wav").read_bytes()
    for clips, texts in [([clip, clip], ["YES", None]), ([clip, None], ["YES", "NO"])]:
        saved(tmp_path / "saved", clips, texts)
        with pytest.raises(UsageError, match=r"saved: row 1: "):
            read_corpus(tmp_path / "saved", tmp_path / "unpacked", task="ctc")
        rows = read_corpus(tmp_path / "saved", tmp_path / "unpacked", task="ctc", skip_bad=True)
        assert [row.text for row in rows] == ["YES"]


def test_a_saved_row_whose_file_is_gone_is_a_bad_row(tmp_path):
    there = EXAMPLES / "speech/go-forward.wav"
    datasets = pytest.importorskip("datasets")
    audio = [{"bytes": None, "path": str(file)} for file in (there, tmp_path / "gone.wav")]
    # no column of audio yet, whose files would be taken into the tables
    datasets.Dataset.from_dict({"audio": audio, "text": ["YES", "NO"]}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(UsageError, match=r"saved: row 1: .*gone\.wav: no such file"):
        read_corpus(tmp_path / "saved", tmp_path / "unpacked", task="ctc")
    (row,) = read_corpus(tmp_path / "saved", tmp_path / "unpacked", task="ctc", skip_bad=True)
    assert row.source.file == there


def test_a_data_set_saved_anew_in_another_order_keeps_text_and_audio_together(tmp_path):
    clips = {b"first clip": "FIRST", b"other clip": "OTHER"}  # of one size
    for order in (list(clips), list(clips)[::-1]):
        saved(tmp_path / "saved", order, [clips[clip] for clip in order])
        rows = read_corpus(tmp_path / "saved", tmp_path / "unpacked", task="ctc")
        assert [clips[row.source.file.read_bytes()] for row in rows] == [row.text for row in rows]


def test_folders_of_splits_may_be_saved_data_sets(tmp_path):
    data = tmp_path / "data"
    for split in ("train", "test"):
        saved(data / split, [split.encode()], [split.upper()])
    before = sorted(data.rglob("*"))
    assert corpus_task(data) == "ctc"
    rows = {
        split: read_corpus(data, tmp_path / "unpacked", task="ctc", split=split)
        for split in ("train", "test")
    }
    assert {split: [row.text for row in of] for split, of in rows.items()} == {
        "train": ["TRAIN"],
        "test": ["TEST"],
    }
    assert sorted(data.rglob("*")) == before
    hashed = corpus_hash({data: rows["train"]})
    elsewhere = read_corpus(data, tmp_path / "other/place", task="ctc")
    assert corpus_hash({data: elsewhere}) == hashed


def test_a_saved_data_set_without_rows_is_told(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the extra datasets")
    table = datasets.Dataset.from_dict({"audio": ["a.wav"], "text": ["A"]}).select(range(0))
    table.save_to_disk(str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"none (cannot be read|is empty)"):
        read_corpus(tmp_path / "none", tmp_path / "unpacked", task="ctc")


def test_a_saved_row_without_a_class_is_a_bad_row(tmp_path):
    datasets = pytest.importorskip("datasets")
    clip = (EXAMPLES / "speech/go-forward.wav").read_bytes()
    names = datasets.ClassLabel(names=["no", "yes"])
    clips = [{"bytes": clip, "path": None}] * 3
    table = datasets.Dataset.from_dict({"audio": clips, "label": [1, -1, 0]}).cast_column("label", names)
    table.cast_column("audio", datasets.Audio(decode=False)).save_to_disk(str(tmp_path / "saved"))
    assert corpus_task(tmp_path / "saved") == "classification"
    with pytest.raises(UsageError, match="row 1: -1 is no class"):
        read_corpus(tmp_path / "saved", tmp_path, task="classification")
    rows = read_corpus(tmp_path / "saved", tmp_path, task="classification", skip_bad=True)
    assert [row.label for row in rows] == ["yes", "no"]
    assert [row.source.path for row in rows] == [f"{tmp_path}/saved#{number}" for number in (0, 2)]
    assert corpus_hash({tmp_path / "saved": rows}) != corpus_hash({tmp_path / "saved": rows[:1]})

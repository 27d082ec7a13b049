"""Data sets that are no manifest: audiofolders, folders named after labels, and published ones."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from trainings import EXAMPLES

from sewcli.errors import UsageError
from sewcli.inputs.corpus import corpus_task, has_split, load_corpus, read_corpus
from sewcli.inputs.saved import has_saved_split


def audiofolder(tmp_path):
    folder = tmp_path / "folder"
    (folder / "audio").mkdir(parents=True)
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()][:3]
    for row in rows:
        row["file_name"] = f"audio/{Path(row['audio_filepath']).name}"
        shutil.copyfile(EXAMPLES / row["audio_filepath"], folder / row["file_name"])
    return folder, rows


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_an_audiofolder_is_a_data_set(tmp_path, suffix):
    folder, rows = audiofolder(tmp_path)
    if suffix == "csv":
        lines = ["file_name,transcription", *(f"{row['file_name']},{row['text']}" for row in rows)]
    else:
        lines = [json.dumps({"file_name": row["file_name"], "text": row["text"]}) for row in rows]
    (folder / f"metadata.{suffix}").write_text("\n".join(lines) + "\n")
    read = read_corpus(folder, tmp_path / "unpacked", task="ctc")
    assert [row.text for row in read] == [row["text"] for row in rows]
    assert all(row.source.file.exists() for row in read)
    with (folder / f"metadata.{suffix}").open("a") as file:
        file.write("nothing\n")
    with pytest.raises(UsageError, match=rf"metadata.{suffix}:{len(lines) + 1}"):
        read_corpus(folder, tmp_path / "unpacked", task="ctc")
    assert len(read_corpus(folder, tmp_path / "unpacked", task="ctc", skip_bad=True)) == 3
    read[1].source.file.unlink()
    with pytest.raises(UsageError, match=rf"metadata.{suffix}:{len(lines) - 1}: .*: no such file"):
        read_corpus(folder, tmp_path / "unpacked", task="ctc")
    assert len(read_corpus(folder, tmp_path / "unpacked", task="ctc", skip_bad=True)) == 2


def test_folders_named_after_labels_are_a_data_set(tmp_path):
    for label in ("yes", "no"):
        (tmp_path / "data" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "data" / label / "a.wav", np.zeros(800), 16_000)
    (tmp_path / "data/no/readme.txt").write_text("")
    rows = read_corpus(tmp_path / "data", tmp_path, task="classification")
    assert [row.label for row in rows] == ["no", "yes"]
    with pytest.raises(UsageError, match="holds audio files without texts or labels"):
        read_corpus(tmp_path / "data/no", tmp_path, task="classification")
    (tmp_path / "data/no/a.wav").unlink()
    with pytest.raises(UsageError, match="holds no clips"):
        read_corpus(tmp_path / "data/no", tmp_path, task="classification")


@pytest.mark.parametrize("task", ["ctc", "classification"])
def test_folders_named_as_splits_are_no_labels(tmp_path, task):
    data = tmp_path / "data"
    for split in ("Train", "test"):
        clip = data / split / ("clip.wav" if task == "ctc" else "yes/clip.wav")
        clip.parent.mkdir(parents=True)
        shutil.copyfile(EXAMPLES / "speech/go-forward.wav", clip)
        if task == "ctc":
            (data / split / "metadata.csv").write_text(f"file_name,text\nclip.wav,{split.upper()}\n")
    assert corpus_task(data) == task
    assert [has_split(data, split) for split in ("train", "dev", "test")] == [True, False, True]
    for split, folder in (("train", "Train"), ("test", "test")):
        [row] = read_corpus(data, tmp_path, task=task, split=split)
        assert (data / folder) in row.source.file.parents
        assert (row.text or row.label) == (folder.upper() if task == "ctc" else "yes")
    with pytest.raises(UsageError, match="has splits Train, test, none is dev") as caught:
        read_corpus(data, tmp_path, task=task, split="dev")
    assert caught.value.hint == f"name one: {data}/Train"


def test_parts_of_a_data_set_are_no_labels(tmp_path):
    for part in ("one", "other"):
        (tmp_path / "data" / part).mkdir(parents=True)
        (tmp_path / "data" / part / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(UsageError, match="holds the parts of a data set") as caught:
        read_corpus(tmp_path / "data", tmp_path, task="classification")
    assert caught.value.hint == f"name one: {tmp_path}/data/one"


def test_an_index_in_another_encoding_is_named(tmp_path):
    (tmp_path / "metadata.csv").write_bytes("file_name,text\na.wav,GRÜN\n".encode("cp1252"))
    with pytest.raises(UsageError, match=r"cannot read .*metadata.csv"):
        read_corpus(tmp_path, tmp_path, task="ctc")


def test_empty_columns_are_none(tmp_path):
    folder, rows = audiofolder(tmp_path)
    lines = ["file_name,transcription,text,label", *(f"{row['file_name']},,{row['text']}," for row in rows)]
    (folder / "metadata.csv").write_text("\n".join(lines))
    assert corpus_task(folder) == "ctc"
    read = read_corpus(folder, tmp_path, task="ctc")
    assert [row.text for row in read] == [row["text"] for row in rows]


def test_a_table_that_breaks_off_is_named(tmp_path):
    (tmp_path / "metadata.csv").write_text('file_name,text\na.wav,A\nb.wav,"B\n' + "C" * 200_000)
    with pytest.raises(UsageError, match=r"metadata.csv:\d+: field larger than"):
        read_corpus(tmp_path, tmp_path, task="ctc")


def test_a_row_without_a_file_says_so_whatever_its_other_columns_are(tmp_path):
    (tmp_path / "metadata.csv").write_text(",file_name,text\n0,,A\n")
    with pytest.raises(UsageError, match=r"metadata.csv:2: a row needs a file_name"):
        read_corpus(tmp_path, tmp_path, task="ctc")
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "metadata.jsonl").write_text('{"file_name"\n')
    with pytest.raises(UsageError, match=r"metadata.jsonl:1: not a JSON object"):
        read_corpus(tmp_path, tmp_path, task="ctc")


@pytest.mark.parametrize("content", ["{", "[1]", "{}", '{"splits": 3}'])
def test_a_damaged_list_of_splits_is_named(tmp_path, content):
    (tmp_path / "dataset_dict.json").write_text(content)
    with pytest.raises(UsageError, match=r"dataset_dict.json does not list the splits"):
        has_saved_split(tmp_path, "train")


def librispeech(folder: Path) -> list[str]:
    """Two chapters as LibriSpeech has them; their texts."""
    for name, lines in (("84/121123", ["0000 GO", "0001 DO YOU KNOW"]), ("84/121550", ["0000 BUT"])):
        chapter = folder / name
        chapter.mkdir(parents=True)
        stem = name.replace("/", "-")
        (chapter / f"{stem}.trans.txt").write_text("".join(f"{stem}-{line}\n" for line in lines))
        for line in lines:
            soundfile.write(chapter / f"{stem}-{line[:4]}.flac", np.zeros(16_000), 16_000)
    return ["GO", "DO YOU KNOW", "BUT"]


def test_transcripts_of_librispeech_are_a_data_set(tmp_path):
    texts = librispeech(tmp_path / "dev-clean")
    rows = read_corpus(tmp_path / "dev-clean", tmp_path, task="ctc")
    assert [row.text for row in rows] == texts
    assert rows[1].source.path.endswith("84/121123/84-121123-0001.flac")
    rows[1].source.file.unlink()
    with pytest.raises(UsageError, match=r"utterance 2: .*0001.flac: no such file"):
        read_corpus(tmp_path / "dev-clean", tmp_path, task="ctc")
    assert len(read_corpus(tmp_path / "dev-clean", tmp_path, task="ctc", skip_bad=True)) == 2
    (tmp_path / "dev-clean/84/._x.trans.txt").write_bytes(b"\xff")
    assert len(load_corpus(tmp_path / "dev-clean", tmp_path).rows) == 3
    librispeech(tmp_path / "test-clean")
    with pytest.raises(UsageError, match=r"name one: .*dev-clean"):
        load_corpus(tmp_path, tmp_path)


def test_tables_of_common_voice_are_data_sets(tmp_path, sew, ctc):
    clips = tmp_path / "cv" / "clips"
    clips.mkdir(parents=True)
    rows = [("a.wav", 'He said "no".'), ("b.wav", "Yes"), ("", "nothing")]
    for name, _ in rows[:2]:
        soundfile.write(clips / name, np.zeros(16_000), 16_000)
    lines = ["client_id\tpath\tsentence\tup_votes", *(f"x\t{name}\t{text}\t2" for name, text in rows)]
    table = tmp_path / "cv" / "dev.tsv"
    table.write_text("\n".join(lines) + "\n")
    found = load_corpus(table, tmp_path)
    assert [(row.text, row.source.file) for row in found.rows] == [
        (text, clips / name) for name, text in rows[:2]
    ]
    assert [problem.line for problem in found.problems] == [4]
    assert sew("evaluate", table, "-m", ctc, "--skip-bad").code == 0
    with pytest.raises(UsageError, match=r"name one: .*dev\.tsv"):
        load_corpus(tmp_path / "cv", tmp_path)
    table.write_text("path\tsentence\n\na.wav\tone\rline\n\n\tx\n")
    found = load_corpus(table, tmp_path)
    assert [row.text for row in found.rows] == ["one\rline"]
    assert [problem.line for problem in found.problems] == [5]
    table.write_text("a\tb\n1\t2\n")
    with pytest.raises(UsageError, match="no columns path and sentence"):
        load_corpus(table, tmp_path)


def speech_commands(folder: Path) -> None:
    """Five clips as Speech Commands has them, of which the lists name three, and its noise."""
    for name in ("no/a", "no/b", "yes/a", "yes/b", "yes/c", "_background_noise_/rain"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.wav", np.zeros(16_000), 16_000)
    (folder / "validation_list.txt").write_text("yes/b.wav\n")
    (folder / "testing_list.txt").write_text("yes/a.wav\nno/a.wav\n")


def test_the_lists_of_speech_commands_are_its_splits(tmp_path, sew):
    folder = tmp_path / "commands"
    speech_commands(folder)
    for split, expected in {
        "train": [("no", "b"), ("yes", "c")],
        "dev": [("yes", "b")],
        "test": [("yes", "a"), ("no", "a")],
    }.items():
        assert has_split(folder, split)
        rows = read_corpus(folder, tmp_path, task="classification", split=split)
        assert [(row.label, row.source.file.stem) for row in rows] == expected
    assert corpus_task(folder) == "classification"
    (folder / "metadata.csv").write_text("file_name,label\nyes/a.wav,yes\n")  # which says itself what counts
    assert not has_split(folder, "dev")
    assert len(read_corpus(folder, tmp_path, task="classification", split="dev")) == 1
    (folder / "metadata.csv").unlink()
    (folder / "no/a.wav").unlink()
    with pytest.raises(UsageError, match=r"testing_list\.txt:2: .*no/a\.wav: no such file"):
        read_corpus(folder, tmp_path, task="classification", split="test")
    run = sew("evaluate", folder, "-m", "nano-keywords", "--skip-bad", "-f", "json")
    assert run.code == 0
    assert json.loads(run.out)["utterances"] == 1

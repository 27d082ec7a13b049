"""`sew evaluate`: a model on a manifest."""

import json
import sys
from pathlib import Path

import pytest
from helpers import needs_pyctcdecode, write_babble

from sewcli.evaluation import Scored, error_rates

EXAMPLES = Path(__file__).parent.parent / "examples"


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_evaluate_scores_what_transcribe_writes(sew):
    manifest = EXAMPLES / "speech.jsonl"
    done = sew("evaluate", manifest, "-f", "json", "-q")
    assert done.code == 0
    references = [json.loads(line)["text"] for line in manifest.open()]
    files = [EXAMPLES / json.loads(line)["audio_filepath"] for line in manifest.open()]
    texts = sew("transcribe", "-h", "-q", *files).lines
    expected = error_rates([Scored(a, b, "") for a, b in zip(references, texts, strict=True)])
    found = json.loads(done.out)
    assert {key: found[key] for key in expected} == expected


def test_the_report_by_set_and_in_all(sew, ctc, manifest):
    done = sew("evaluate", manifest, "-m", ctc, "-f", "json")
    scores = done.records[0]
    assert set(scores["sets"]) == {"x", "y"}
    for part in (scores, *scores["sets"].values()):
        assert {"utterances", "wer", "cer", "ser", "insertions", "deletions", "substitutions"} < part.keys()
        assert part["rtf"] == pytest.approx(part["network_seconds"] / part["audio_seconds"], rel=0.01)
    assert scores["audio_seconds"] == pytest.approx(6.5)
    assert scores["wall_seconds"] >= scores["network_seconds"] > 0
    assert scores["loss"] == pytest.approx(
        (2 * scores["sets"]["x"]["loss"] + scores["sets"]["y"]["loss"]) / 3
    )
    assert scores["model"]["id"] == str(ctc)
    assert scores["settings"]["decoder"] == "greedy"
    done = sew("evaluate", manifest, "-m", ctc)
    assert "s (rtf), with reading" in done.messages[-1]
    head, *table = [line.split("\t") for line in done.lines]
    assert head == ["set", "utterances", "wer", "cer", "ser", "sub", "del", "ins", "loss", "rtf"]
    assert [row[0] for row in table] == ["x", "y", "all"]
    assert table[2][2] == f"{100 * scores['wer']:.2f}"


def test_the_time_in_the_network_is_shared_among_the_rows_of_a_batch(sew, ctc, manifest, tmp_path):
    table = tmp_path / "t.jsonl"
    done = sew("evaluate", manifest, "-m", ctc, "-f", "json", "--batch-seconds", "60", "--table", table)
    seconds = [line["network_seconds"] for line in lines_of(table)]
    assert sum(seconds) == pytest.approx(done.records[0]["network_seconds"], abs=1e-3)
    # one batch, so the shares are as the lengths: 3 s, 1.3 s, 2.2 s
    assert seconds[1] / seconds[0] == pytest.approx(1.3 / 3, rel=0.01)


def test_the_tables_hold_every_utterance_with_its_alignment(sew, ctc, manifest, tmp_path):
    lines, tabbed = tmp_path / "t.jsonl", tmp_path / "t.tsv"
    texts = sew("transcribe", "-m", ctc, "--files-from", manifest, "-h").lines
    sew("evaluate", manifest, "-m", ctc, "--table", lines)
    sew("evaluate", manifest, "-m", ctc, "--table", tabbed)
    records = lines_of(lines)
    assert [record["hypothesis"] for record in records] == texts
    assert [record["reference"] for record in records] == ["HELLO WORLD", "GOOD", "SEE YOU"]
    for record in records:
        edits = record["substitutions"] + record["deletions"] + record["insertions"]
        assert record["wer"] == edits / record["words"]
        assert record["alignment"].count("[-") == record["substitutions"] + record["deletions"]
    head, *rows = [line.split("\t") for line in tabbed.read_text().splitlines()]
    assert [dict(zip(head, row, strict=True))["hypothesis"] for row in rows] == texts
    assert float(rows[0][head.index("loss")]) == pytest.approx(records[0]["loss"], abs=1e-5)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".sew-")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_scores_are_told_where_the_table_cannot_be_written(sew, ctc, manifest, tmp_path, monkeypatch):
    """A disk that is full by the second utterance."""
    place = Path.open

    def opened(file, *mode, **how):
        if file.name.startswith(".sew-"):
            return place(Path("/dev/full"), "wb")
        return place(file, *mode, **how)

    expected = sew("evaluate", manifest, "-m", ctc, "-f", "json").records[0]
    monkeypatch.setattr(Path, "open", opened)
    done = sew("evaluate", manifest, "-m", ctc, "-f", "json", "--table", tmp_path / "t.jsonl")
    assert done.code == 1, done.err
    assert done.records, done.err
    assert done.records[0]["wer"] == expected["wer"]
    assert "t.jsonl: No space left on device" in done.err
    assert not list(tmp_path.glob("*t.jsonl"))


def test_a_table_is_not_replaced_unasked(sew, ctc, manifest, tmp_path):
    table = tmp_path / "t.tsv"
    table.write_text("mine")
    done = sew("evaluate", manifest, "-m", ctc, "--table", table)
    assert (done.code, table.read_text()) == (2, "mine")
    assert "--overwrite" in done.err
    assert sew("evaluate", manifest, "-m", ctc, "--table", table, "--overwrite").code == 0
    assert table.read_text().startswith("path\t")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--table", "t.csv"], ".tsv or .jsonl"),
        (["--table", "none/t.tsv"], "no directory"),
        (["--confusion", "c.txt"], ".csv or .png"),
        (["--confusion", "c.csv"], "these are transcripts"),
        (["--compare", "a", "b", "--table", "t.tsv"], "--compare goes with none"),
        (["--hotword", "x"], "--decoder beam"),
        (["--resamples", "3"], "resamples"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_runs(
    sew, manifest, tmp_path, monkeypatch, options, told
):
    monkeypatch.chdir(tmp_path)
    done = sew("evaluate", manifest, "-m", "no-such-model", *options)
    assert done.code == 2
    assert told in done.err


def test_evaluate_and_classify_agree_on_a_clip_longer_than_a_chunk(sew, classifier, tmp_path):
    """A clip is one piece for both; cut in chunks its last seconds would decide."""
    clips = [write_babble(tmp_path / f"{seed}.wav", 30.0, seed=seed) for seed in range(3)]
    answers = [line.split("\t")[0] for line in sew("classify", "-h", *clips, "-m", classifier).lines]
    manifest = tmp_path / "labels.jsonl"
    rows = [
        {"audio_filepath": clip.name, "label": answer} for clip, answer in zip(clips, answers, strict=True)
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    done = sew("evaluate", manifest, "-m", classifier, "-f", "json", "--chunk", "5")
    assert json.loads(done.out)["accuracy"] == 1.0


def test_a_classifier_gets_its_confusion_matrix(sew, classifier, labelled, tmp_path):
    files = [tmp_path / "c.csv", tmp_path / "c.png", tmp_path / "t.jsonl"]
    done = sew(
        *("evaluate", labelled, "-m", classifier, "-f", "json"),
        *("--confusion", files[0], "--confusion", files[1], "--table", files[2]),
    )
    assert done.code == 0
    cells = [line.split(",")[1:] for line in files[0].read_text().splitlines()]
    names = cells[0]
    right = sum(int(cells[1 + i][i]) for i in range(len(names)))
    assert right == done.records[0]["correct"] == sum(line["correct"] for line in lines_of(files[2]))
    assert sum(int(count) for row in cells[1:] for count in row) == 3
    assert files[1].read_bytes().startswith(b"\x89PNG")


def test_labels_the_model_does_not_know_are_told(sew, classifier, audio, tmp_path):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": str(audio / "a.wav"), "label": "maybe"}))
    done = sew("evaluate", manifest, "-m", classifier, "-f", "json")
    assert done.records[0]["accuracy"] == 0.0
    assert "'maybe', which the model does not know" in done.err
    answer = sew("classify", audio / "a.wav", "-m", classifier).lines[0].split("\t")[0]
    done = sew("evaluate", manifest, "-m", classifier, "-f", "json", "--others", answer, "-v")
    assert (done.records[0]["accuracy"], list(done.records[0]["labels"])) == (1.0, [answer])
    assert f"1 rows have labels the model does not know, and count as {answer}" in done.err
    done = sew("evaluate", manifest, "-m", classifier, "--others", "none")
    assert (done.code, "the model has no such label (it has " in done.err) == (2, True)


@needs_pyctcdecode
def test_beam_search_is_that_of_transcribe(sew, ctc, manifest, tmp_path):
    options = ["-m", ctc, "--decoder", "beam", "--beam-width", "20", "--hotword", "hello"]
    texts = sew("transcribe", "--files-from", manifest, "-h", *options).lines
    done = sew("evaluate", manifest, *options, "-f", "json", "--table", tmp_path / "t.jsonl")
    assert [line["hypothesis"] for line in lines_of(tmp_path / "t.jsonl")] == texts
    assert done.records[0]["settings"]["beam_width"] == 20


def test_characters_the_model_does_not_write_are_told_once(sew, ctc, audio, tmp_path):
    manifest = tmp_path / "m.jsonl"
    texts = ("Hello, world.", "Good", "7 SEAS")
    clip = {"audio_filepath": str(audio / "b.wav"), "duration": 0.5}
    rows = [{**clip, "text": text, "offset": number / 2} for number, text in enumerate(texts)]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    told = "2 of 3 texts have characters the model does not write, such as ',', and a word with one"
    done = sew("evaluate", manifest, "-m", ctc)
    assert [message for message in done.messages if told in message and "--normalizer basic" in message]
    assert "does not write" not in sew("evaluate", manifest, "-m", ctc, "--normalizer", "basic").err
    manifest.write_text("\n".join(map(json.dumps, rows[1:])))
    told = sew("evaluate", manifest, "-m", ctc).err
    assert "such as '7'" in told
    assert "--normalizer" not in told


def test_inputs_that_fail_are_counted_and_told_with_their_line(sew, tmp_path):
    manifest = tmp_path / "some.jsonl"
    clip = EXAMPLES / "speech/explosion.opus"
    rows = [{"audio_filepath": str(clip), "text": "NO ONE"}, {"audio_filepath": "no.wav", "text": "A"}]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    table = tmp_path / "t.jsonl"
    done = sew("evaluate", manifest, "-f", "json", "--table", table)
    assert done.code == 3
    assert json.loads(done.out)["failed"] == 1
    assert json.loads(done.out)["utterances"] == 1
    assert f"{manifest}:2: " in done.err
    assert "failed inputs, not counted: 1" in sew("evaluate", manifest).err
    again = sew("evaluate", "--results", table, "-f", "json")
    assert (again.code, again.records[0]["failed"]) == (3, 1)


def test_skip_bad_goes_on_without_the_bad_rows(sew, ctc, manifest, tmp_path):
    good = sew("evaluate", manifest, "-m", ctc, "-f", "json").records[0]
    rows = manifest.read_text().splitlines()
    bad = tmp_path / "bad.jsonl"
    bad.write_text(
        "\n".join([rows[0], "{", rows[0], '{"audio_filepath": "gone.wav", "text": "A"}', *rows[1:]])
    )
    refused = sew("evaluate", bad, "-m", ctc)
    assert (refused.code, refused.out) == (2, b"")
    assert f"{bad}:2: " in refused.err
    done = sew("evaluate", bad, "-m", ctc, "-f", "json", "--skip-bad")
    assert done.code == 0
    assert [f"{bad}:{line}: " in done.err for line in (2, 3, 4)] == [True] * 3
    assert done.records[0]["skipped"] == 3
    assert (done.records[0]["wer"], done.records[0]["loss"]) == (good["wer"], good["loss"])


def test_rows_with_text_and_label_are_for_the_model_that_is_named(sew, ctc, classifier, audio, tmp_path):
    manifest = tmp_path / "both.jsonl"
    row = {"audio_filepath": str(audio / "b.wav"), "text": "A", "label": "b"}
    manifest.write_text(json.dumps(row) + "\n")
    assert "wer" in sew("evaluate", manifest, "-m", ctc, "-f", "json").records[0]
    assert "accuracy" in sew("evaluate", manifest, "-m", classifier, "-f", "json").records[0]


def test_a_manifest_for_two_tasks_is_refused(sew, tmp_path):
    manifest = tmp_path / "mixed.jsonl"
    manifest.write_text(
        '{"audio_filepath": "a.wav", "text": "A"}\n{"audio_filepath": "b.wav", "label": "b"}\n'
    )
    done = sew("evaluate", manifest)
    assert done.code == 2
    assert "mixed.jsonl:2" in done.err


@pytest.mark.parametrize(
    ("module", "options", "told"),
    [
        ("jiwer", [], "pip install jiwer"),
        ("whisper_normalizer.english", ["--normalizer", "whisper-en"], "pip install 'sewcli[whisper]'"),
        ("matplotlib.figure", ["--confusion", "c.png"], "pip install 'sewcli[plot]'"),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    sew, manifest, monkeypatch, tmp_path, module, options, told
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    done = sew("evaluate", manifest, "-m", "no-such-model", *options)
    assert done.code == 2
    assert told in done.err


def test_an_audiofolder_is_scored_like_the_manifest_of_its_rows(sew, ctc, manifest, audio, tmp_path):
    rows = [json.loads(line) for line in manifest.open()]
    lines = ["file_name,text,set", *(f"{row['audio_filepath']},{row['text']},{row['set']}" for row in rows)]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/metadata.csv").write_text(
        "\n".join([*lines, f"{audio / 'a.wav'},AGAIN,x", "no.wav,NO,x"])
    )
    expected = sew("evaluate", manifest, "-m", ctc).lines[-4:]
    refused = sew("evaluate", tmp_path / "folder", "-m", ctc)
    assert refused.code == 2
    assert f"metadata.csv:5: {audio / 'a.wav'} is in line 2 already" in refused.err
    done = sew("evaluate", tmp_path / "folder", "-m", ctc, "--skip-bad")
    assert [line.split("\t")[:9] for line in done.lines[-4:]] == [line.split("\t")[:9] for line in expected]
    assert "2 bad rows left out, 3 kept" in done.err


def test_a_saved_data_set_is_scored(sew, ctc, manifest, tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [json.loads(line) for line in manifest.open()]
    clips = [{"bytes": Path(row["audio_filepath"]).read_bytes(), "path": None} for row in rows]
    table = datasets.Dataset.from_dict({"audio": clips, "text": [row["text"] for row in rows]})
    table.cast_column("audio", datasets.Audio(decode=False)).save_to_disk(str(tmp_path / "saved"))
    expected = sew("evaluate", manifest, "-m", ctc).lines[-1]
    done = sew("evaluate", tmp_path / "saved", "-m", ctc)
    assert done.lines[-1].split("\t")[1:9] == expected.split("\t")[1:9]


def test_what_is_read_is_not_replaced(sew, ctc, manifest, tmp_path):
    content = manifest.read_bytes()
    refused = sew("evaluate", manifest, "-m", ctc, "--table", manifest, "--overwrite")
    assert (refused.code, manifest.read_bytes()) == (2, content)
    assert "is an input" in refused.err
    text = tmp_path / "text.txt"
    text.write_text("a b")
    refused = sew("lm", "build", text, "-o", text, "--overwrite")
    assert (refused.code, text.read_text()) == (2, "a b")


def test_parts_of_a_file_that_fail_are_told_apart_in_a_table(sew, ctc, audio, tmp_path):
    rows = [
        {"audio_filepath": str(audio / "b.wav"), "text": "a", "offset": offset} for offset in (0, 50.0, 60.0)
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = tmp_path / "t.jsonl"
    assert sew("evaluate", tmp_path / "m.jsonl", "-m", ctc, "--table", table).code == 3
    assert [json.loads(line).get("offset") for line in table.open()] == [None, 50.0, 60.0]
    assert sew("evaluate", "--compare", table, table, "--resamples", "100").code == 0

"""`sew evaluate`: a model on a manifest, result files, and the comparison of two of them."""

import json
import sys
from pathlib import Path

import pytest
from helpers import needs_pyctcdecode, write_babble

from sewcli.evaluation import Scored, error_rates

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def manifest(audio, tmp_path):
    """Three recordings in two sets."""
    rows = [("a.wav", "HELLO WORLD", "x"), ("b.wav", "GOOD", "y"), ("sub/c.d.flac", "SEE YOU", "x")]
    file = tmp_path / "m.jsonl"
    file.write_text(
        "\n".join(
            json.dumps({"audio_filepath": str(audio / path), "text": text, "set": part})
            for path, text, part in rows
        )
    )
    return file


@pytest.fixture
def labelled(audio, tmp_path):
    """Three clips with labels."""
    file = tmp_path / "labels.jsonl"
    rows = [("a.wav", "yes"), ("b.wav", "no"), ("sub/c.d.flac", "yes")]
    file.write_text(
        "\n".join(json.dumps({"audio_filepath": str(audio / path), "label": label}) for path, label in rows)
    )
    return file


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
    lines = sew("evaluate", manifest, "-m", ctc).lines
    head, *table = [line.split("\t") for line in lines[1:]]
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


@needs_pyctcdecode
def test_beam_search_is_that_of_transcribe(sew, ctc, manifest, tmp_path):
    options = ["-m", ctc, "--decoder", "beam", "--beam-width", "20", "--hotword", "hello"]
    texts = sew("transcribe", "--files-from", manifest, "-h", *options).lines
    done = sew("evaluate", manifest, *options, "-f", "json", "--table", tmp_path / "t.jsonl")
    assert [line["hypothesis"] for line in lines_of(tmp_path / "t.jsonl")] == texts
    assert done.records[0]["settings"]["beam_width"] == 20


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
    assert "not counted" in sew("evaluate", manifest).lines[0]
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


def test_a_manifest_for_two_tasks_is_refused(sew, tmp_path):
    manifest = tmp_path / "mixed.jsonl"
    manifest.write_text(
        '{"audio_filepath": "a.wav", "text": "A"}\n{"audio_filepath": "b.wav", "label": "b"}\n'
    )
    done = sew("evaluate", manifest)
    assert done.code == 2
    assert "mixed.jsonl:2" in done.err


@pytest.mark.parametrize("listed", ["by name", "by file", "in a directory", "as a table"])
def test_results_are_scored_without_a_model(sew, ctc, manifest, audio, tmp_path, monkeypatch, listed):
    expected = sew("evaluate", manifest, "-m", ctc, "-f", "json", "--table", tmp_path / "t.jsonl").records[0]
    results = tmp_path / "results.jsonl"
    if listed == "by name":
        results.write_bytes(sew("transcribe", "-m", ctc, "-f", "json", "--files-from", manifest).out)
    elif listed == "by file":
        monkeypatch.chdir(audio)
        results.write_bytes(sew("transcribe", "-m", ctc, "-f", "json", "sub", "b.wav", "a.wav").out)
    elif listed == "in a directory":
        results = tmp_path / "out"
        sew("transcribe", "-m", ctc, "-f", "json", "-o", results, audio)
    else:
        results = tmp_path / "t.jsonl"
    monkeypatch.setitem(sys.modules, "torch", None)
    done = sew("evaluate", manifest, "--results", results, "-f", "json", "-m", "no-such-model")
    assert done.code == 0, done.err
    same = {"utterances", "wer", "cer", "ser", "substitutions", "deletions", "insertions", "failed"}
    assert {key: done.records[0][key] for key in same} == {key: expected[key] for key in same}
    assert done.records[0]["sets"].keys() == {"x", "y"}


def test_a_table_is_read_back_without_its_manifest(sew, ctc, manifest, tmp_path):
    table = tmp_path / "t.jsonl"
    expected = sew("evaluate", manifest, "-m", ctc, "-f", "json", "--table", table).records[0]
    done = sew("evaluate", "--results", table, "-f", "json")
    for key in ("wer", "cer", "loss", "loss_utterances", "audio_seconds", "rtf"):
        assert done.records[0][key] == pytest.approx(expected[key], rel=0.01)
    assert "wall_seconds" not in done.records[0]


def test_labels_are_scored_without_a_model(sew, classifier, labelled, tmp_path):
    expected = sew("evaluate", labelled, "-m", classifier, "-f", "json", "--table", tmp_path / "t.jsonl")
    results = tmp_path / "r.jsonl"
    results.write_bytes(sew("classify", "-m", classifier, "-f", "json", "--files-from", labelled).out)
    for done in (
        sew("evaluate", labelled, "--results", results, "-f", "json"),
        sew("evaluate", "--results", tmp_path / "t.jsonl", "-f", "json"),
    ):
        assert done.records[0]["correct"] == expected.records[0]["correct"]


def test_parts_of_one_file_are_told_apart_by_their_offsets(sew, ctc, audio, tmp_path):
    manifest, results = tmp_path / "m.jsonl", tmp_path / "r.jsonl"
    part = {"audio_filepath": str(audio / "a.wav"), "duration": 1.0}
    rows = [{**part, "offset": offset, "text": text} for offset, text in ((0, "A"), (1.5, "B C"))]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    results.write_bytes(sew("transcribe", "-m", ctc, "-f", "json", "--files-from", manifest).out)
    scores = [
        sew("evaluate", manifest, *options, "-f", "json").records[0]
        for options in (["-m", ctc], ["--results", results])
    ]
    assert scores[0]["wer"] == scores[1]["wer"]
    assert scores[1]["words"] == 3


def test_rows_without_a_result_have_failed(sew, manifest, tmp_path):
    results = tmp_path / "r.jsonl"
    path = json.loads(manifest.read_text().splitlines()[0])["audio_filepath"]
    results.write_text("\n".join(json.dumps({"path": p, "text": "HELLO WORLD"}) for p in (path, "other.wav")))
    done = sew("evaluate", manifest, "--results", results, "-f", "json")
    assert (done.code, done.records[0]["failed"], done.records[0]["wer"]) == (3, 2, 0.0)
    assert f"{manifest}:2: " in done.err
    assert "1 results are for no row" in done.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "r.jsonl:1: not a result"),
        ("[]", "not a JSON object"),
        ('{"text": "A"}', "no 'path'"),
        ('{"path": "a.wav"}', "no 'text'"),
        ('{"path": "a.wav", "text": 3}', "not a str"),
        ('{"path": "elsewhere.wav", "text": "A"}', "a result for none of the 3 inputs"),
        ('{"path": "a.wav", "labels": [{"label": "yes", "score": 1.0}]}', "classification results"),
        ('{"path": "a.wav", "text": "A"}\n{"path": "a.wav", "text": "B"}', "r.jsonl:2: a second result"),
        ("", "holds no result"),
    ],
)
def test_result_files_that_are_none_are_refused(sew, manifest, tmp_path, line, told):
    results = tmp_path / "r.jsonl"
    results.write_text(line)
    done = sew("evaluate", manifest, "--results", results)
    assert (done.code, done.out) == (2, b"")
    assert told in done.err


def test_references_are_asked_for_where_there_are_none(sew, tmp_path):
    results = tmp_path / "r.jsonl"
    results.write_text('{"path": "a.wav", "text": "A"}')
    for arguments in (["--results", results], ["--compare", results, results], []):
        done = sew("evaluate", *arguments)
        assert done.code == 2
        assert "manifest" in done.err.lower()


@pytest.fixture
def two_results(tmp_path):
    """Tables of two systems on 60 utterances; B is right one word more often in every third."""
    files = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for file, every in zip(files, (2, 3), strict=True):
        lines = []
        for number in range(60):
            text = "ONE TWO THREE" if number % every else "ONE TWO"
            record = {"path": f"{number}.wav", "set": "xy"[number % 2], "reference": "ONE TWO THREE"}
            lines.append(json.dumps({**record, "hypothesis": text}))
        file.write_text("\n".join(lines))
    return files


def test_two_results_are_compared(sew, two_results):
    done = sew("evaluate", "--compare", *two_results, "-f", "json")
    found = done.records[0]
    assert done.code == 0
    assert (found["metric"], found["utterances"], found["left_out"]) == ("wer", 60, 0)
    assert (found["rate_a"], found["rate_b"]) == pytest.approx((30 / 180, 20 / 180))
    assert found["difference"] == pytest.approx(-10 / 180)
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    assert 0.9 < found["probability_of_improvement"] <= 1.0
    assert set(found["sets"]) == {"x", "y"}
    again, other = (
        sew("evaluate", "--compare", *two_results, "-f", "json", "--seed", seed).records[0] for seed in "01"
    )
    assert again == found
    assert other["interval"] != found["interval"] or other["probability_of_improvement"] != 1.0
    lines = sew("evaluate", "--compare", *two_results).lines
    assert lines[-1].split("\t")[:5] == ["all", "60", "16.67", "11.11", "-5.56"]


def test_transcripts_are_compared_by_a_manifest(sew, ctc, ctc_d, manifest, tmp_path):
    files = tmp_path / "a.json", tmp_path / "b.json"
    for file, model in zip(files, (ctc, ctc_d), strict=True):
        file.write_bytes(sew("transcribe", "-m", model, "-f", "json", "--files-from", manifest).out)
    found = sew("evaluate", manifest, "--compare", *files, "-f", "json").records[0]
    rates = [sew("evaluate", manifest, "--results", file, "-f", "json").records[0]["wer"] for file in files]
    assert [found["rate_a"], found["rate_b"]] == pytest.approx(rates)


def test_utterances_of_one_result_alone_are_left_out_and_told(sew, two_results):
    first, second = two_results
    second.write_text("\n".join(second.read_text().splitlines()[:50]))
    done = sew("evaluate", "--compare", first, second, "-f", "json")
    assert (done.records[0]["utterances"], done.records[0]["left_out"]) == (50, 10)
    assert "10 utterances left out" in done.err


def test_results_with_other_references_are_not_compared(sew, two_results):
    first, second = two_results
    second.write_text(second.read_text().replace("ONE TWO THREE", "ONE TWO FOUR"))
    done = sew("evaluate", "--compare", first, second)
    assert done.code == 2
    assert "different references" in done.err


@pytest.mark.parametrize(
    ("module", "options", "told"),
    [
        ("jiwer", [], "pip install jiwer"),
        ("whisper_normalizer.english", ["--normalizer", "whisper-en"], "pip install whisper-normalizer"),
        ("matplotlib.figure", ["--confusion", "c.png"], "extra plot"),
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

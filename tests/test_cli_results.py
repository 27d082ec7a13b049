"""`sew evaluate` over results that are there already: scored without a model, and compared."""

import json
import sys

import pytest


@pytest.mark.parametrize("listed", ["by name", "piped", "by file", "in a directory", "as a table"])
def test_results_are_scored_without_a_model(sew, ctc, manifest, audio, tmp_path, monkeypatch, listed):
    expected = sew("evaluate", manifest, "-m", ctc, "-f", "json", "--table", tmp_path / "t.jsonl").records[0]
    results, piped = tmp_path / "results.jsonl", b""
    if listed == "by name":
        results.write_bytes(sew("transcribe", "-m", ctc, "-f", "json", "--files-from", manifest).out)
    elif listed == "piped":
        results, piped = "-", sew("transcribe", "-m", ctc, "-f", "json", "--files-from", manifest).out
    elif listed == "by file":
        monkeypatch.chdir(audio)
        results.write_bytes(sew("transcribe", "-m", ctc, "-f", "json", "sub", "b.wav", "a.wav").out)
    elif listed == "in a directory":
        results = tmp_path / "out"
        sew("transcribe", "-m", ctc, "-f", "json", "-o", results, audio)
    else:
        results = tmp_path / "t.jsonl"
    monkeypatch.setitem(sys.modules, "torch", None)
    done = sew("evaluate", manifest, "--results", results, "-f", "json", "-m", "no-such-model", stdin=piped)
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
        (f'{{"path": "a.wav", "text": "A", "offset": 1{"0" * 400}}}', "r.jsonl:1: not a result"),
        ('{"path": "a\\u0000b.wav", "text": "A"}', "a result for none of the 3 inputs"),
        ('{"path": "a.wav", "text": "A", "duration": -5}', "-5 s is no length"),
        ('{"path": "a.wav", "text": "A", "network_seconds": Infinity}', "inf is not a number"),
        ('{"path": "a.wav", "text": "A", "loss": NaN}', "nan is not a number"),
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


def test_two_results_are_compared_by_characters(sew, tmp_path):
    """Words that are not written apart are one word: B, with one wrong character, is as wrong as A."""
    files = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for file, text in zip(files, ("今日天大", "今日天汽"), strict=True):
        rows = [
            {"path": f"{n}.wav", "reference": "今日天気", "hypothesis": text if n else "今日"}
            for n in range(9)
        ]
        file.write_text("\n".join(map(json.dumps, rows)))
    worse = files[0].read_text().replace(json.dumps("今日天大"), json.dumps("大大天大"))
    files[0].write_text(worse)
    words, characters = (
        sew("evaluate", "--compare", *files, "-f", "json", "--metric", metric).records[0]
        for metric in ("wer", "cer")
    )
    assert (words["metric"], words["difference"], words["probability_of_tie"]) == ("wer", 0, 1)
    assert (characters["metric"], characters["rate_a"], characters["rate_b"]) == ("cer", 26 / 36, 10 / 36)
    assert sew("evaluate", "--compare", *files, "--metric", "cer").lines[2].split("\t")[2:4] == [
        "cer A",
        "cer B",
    ]


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


def test_a_third_file_is_taken_for_the_manifest_and_that_is_told(sew, two_results):
    first, second = two_results
    done = sew("evaluate", "--compare", first, second, second)
    assert done.code == 2
    assert "--compare takes two files" in done.err
    assert "is taken for the manifest" in done.err


def test_transcripts_are_compared_by_a_manifest(sew, ctc, ctc_d, manifest, tmp_path):
    files = tmp_path / "a.json", tmp_path / "b.json"
    for file, model in zip(files, (ctc, ctc_d), strict=True):
        file.write_bytes(sew("transcribe", "-m", model, "-f", "json", "--files-from", manifest).out)
    found = sew("evaluate", manifest, "--compare", *files, "-f", "json").records[0]
    rates = [sew("evaluate", manifest, "--results", file, "-f", "json").records[0]["wer"] for file in files]
    assert [found["rate_a"], found["rate_b"]] == pytest.approx(rates)


def test_utterances_that_failed_in_one_result_are_left_out(sew, two_results):
    lines = two_results[1].read_text().splitlines()
    failed = {"path": "7.wav", "set": "y", "error": {"code": "damaged", "message": "cut"}}
    two_results[1].write_text("\n".join([*lines[:7], json.dumps(failed), *lines[8:]]))
    [compared] = sew("evaluate", "--compare", *two_results, "-f", "json").records
    assert (compared["utterances"], compared["left_out"]) == (59, 1)


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


def test_parts_that_begin_alike_are_told_apart(sew, ctc, audio, tmp_path):
    manifest, table = tmp_path / "parts.jsonl", tmp_path / "table.jsonl"
    row = {"audio_filepath": str(audio / "b.wav"), "offset": 0, "text": "A"}
    lengths = (0.5, 0.8)
    manifest.write_text("".join(json.dumps(row | {"duration": length}) + "\n" for length in lengths))
    scored = sew("evaluate", manifest, "-m", ctc, "--table", table, "-f", "json").records[0]
    again = sew("evaluate", "--results", table, "-f", "json").records[0]
    assert (again["wer"], again["utterances"]) == (scored["wer"], 2)
    assert sew("evaluate", "--compare", table, table, "-f", "json").records[0]["utterances"] == 2
    answers = sew("transcribe", "-m", ctc, "--files-from", manifest, "-f", "json").out
    (tmp_path / "answers.jsonl").write_bytes(answers)
    matched = sew("evaluate", manifest, "--results", tmp_path / "answers.jsonl", "-f", "json").records[0]
    assert (matched["wer"], matched["utterances"]) == (scored["wer"], 2)
    rows = answers.decode().splitlines(keepends=True)
    (tmp_path / "other.jsonl").write_text("".join(reversed(rows)))
    manifest.write_text(
        "".join(
            json.dumps(row | {"duration": length, "text": text}) + "\n"
            for length, text in zip(lengths, ("A", "A B C D"), strict=True)
        )
    )
    for name in ("answers", "other"):
        results, table = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.table.jsonl"
        sew("evaluate", manifest, "--results", results, "--table", table)
    first, second = (
        [json.loads(line) for line in (tmp_path / f"{name}.table.jsonl").open()]
        for name in ("answers", "other")
    )
    assert first == second
    (tmp_path / "last.jsonl").write_text(rows[1])
    alone = sew("evaluate", manifest, "--results", tmp_path / "last.jsonl", "-f", "json").records[0]
    assert (alone["utterances"], alone["failed"], alone["words"]) == (1, 1, 4)
    failed = {"path": json.loads(rows[0])["path"], "offset": 0.0, "error": {"code": "x", "message": "x"}}
    (tmp_path / "errors.jsonl").write_text(2 * (json.dumps(failed) + "\n"))
    both = sew("evaluate", manifest, "--results", tmp_path / "errors.jsonl", "-f", "json", "--table", "t.csv")
    assert "second result" not in both.err
    (tmp_path / "twice.jsonl").write_bytes(answers + answers)
    assert "a second result" in sew("evaluate", manifest, "--results", tmp_path / "twice.jsonl").err


def test_the_name_of_a_set_is_one_line(sew, tmp_path):
    line = {"path": "a", "reference": "ONE", "hypothesis": "ONE", "set": "x\ty\nall"}
    (tmp_path / "r.jsonl").write_text(json.dumps(line) + "\n")
    rows = sew("evaluate", "--results", tmp_path / "r.jsonl").lines
    assert [row.split("\t")[0] for row in rows[1:]] == ["x y all", "all"]


def test_labels_are_compared_as_they_look(sew, tmp_path):
    manifest, results = tmp_path / "m.jsonl", tmp_path / "r.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": "a.wav", "label": "caf\u00e9 "}) + "\n")
    answer = {"path": str(tmp_path / "a.wav"), "labels": [{"label": "cafe\u0301", "score": 1.0}]}
    results.write_text(json.dumps(answer) + "\n")
    assert sew("evaluate", manifest, "--results", results, "-f", "json").records[0]["accuracy"] == 1.0


def test_a_part_that_failed_and_was_done_again_counts_as_done(sew, tmp_path):
    manifest, results = tmp_path / "m.jsonl", tmp_path / "r.jsonl"
    manifest.write_text(
        json.dumps({"audio_filepath": "a.wav", "offset": 1, "duration": 2, "label": "yes"}) + "\n"
    )
    part = {"path": str(tmp_path / "a.wav"), "offset": 1.0}
    failed = part | {"error": {"code": "x", "message": "x"}}
    done = part | {"duration": 2.0, "labels": [{"label": "yes", "score": 1.0}]}
    results.write_text("".join(json.dumps(line) + "\n" for line in (failed, done)))
    scored = sew("evaluate", manifest, "--results", results, "-f", "json").records[0]
    assert (scored["utterances"], scored["failed"]) == (1, 0)

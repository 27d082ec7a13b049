"""Manifests with references: what is a bad row, and what becomes of it."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from sewcli.errors import UsageError
from sewcli.inputs.manifest import NAMED, load_manifest, read_manifest

GOOD = {"audio_filepath": "a.wav", "text": "ONE", "set": "x"}


@pytest.fixture
def write(tmp_path):
    """Write a manifest of rows and raw lines, whose files are there but for gone.wav."""
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / name).touch()

    def write(*rows):
        file = tmp_path / "m.jsonl"
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        file.write_bytes(b"\n".join(lines))
        return file

    return write


def test_rows_know_their_line_and_their_audio(write, tmp_path):
    (tmp_path / "sub").mkdir()
    file = write(b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), b"", {**GOOD, "audio_filepath": "sub/b.wav"})
    rows = read_manifest(file)
    assert [row.line for row in rows] == [1, 3]
    assert rows[1].source.file == tmp_path / "sub" / "b.wav"
    assert (rows[0].text, rows[0].set, rows[0].label) == ("ONE", "x", None)


def test_the_name_of_a_set_is_one_line(write):
    assert read_manifest(write({**GOOD, "set": "a\tb\nc"}))[0].set == "a b c"


@pytest.mark.parametrize(
    ("bad", "code", "told"),
    [
        (b"{", "not_a_row", "not a row of a manifest"),
        (b'{"text": "A"}', "not_a_row", "audio_filepath"),
        (b"[1]", "not_a_row", "not a JSON object"),
        (b'{"audio_filepath": "b.wav", "text": "\xff"}', "not_a_row", "utf-8"),
        ({"audio_filepath": "b.wav", "text": 3}, "not_a_row", "text"),
        ({**GOOD, "offset": 10**400}, "not_a_row", "too large"),
        ({"audio_filepath": "b.wav", "text": " "}, "empty_text", "empty"),
        ({"audio_filepath": "b.wav", "label": "x"}, "no_reference", '"text"'),
        ({"audio_filepath": "b.wav", "text": "A", "duration": 0}, "no_audio", "0 s"),
        (GOOD, "duplicate", "line 1"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_or_left_out(write, caplog, bad, code, told):
    file = write(GOOD, bad, {**GOOD, "audio_filepath": "c.wav"})
    manifest = load_manifest(file)
    manifest.check(manifest.task, files=False)
    assert [(problem.line, problem.code) for problem in manifest.problems] == [(2, code)]
    with pytest.raises(UsageError, match=r"m\.jsonl:2: ") as refused:
        read_manifest(file, task="ctc")
    assert told in str(refused.value)
    assert "--skip-bad" in str(refused.value)
    with caplog.at_level(logging.WARNING, "sewcli"):
        manifest.settle(skip_bad=True)
    assert [row.line for row in manifest.rows] == [1, 3]
    assert caplog.messages[0].startswith(f"{file}:2: ")
    assert "1 bad rows left out, 2 kept" in caplog.messages[1]


def test_problems_are_in_the_order_of_the_lines_and_counted(write):
    file = write({**GOOD, "text": ""}, b"{", GOOD)
    with pytest.raises(UsageError, match=r"m\.jsonl:1: .*; 1 more bad row"):
        read_manifest(file, task="ctc")


def test_parts_of_one_file_are_no_duplicates(write):
    file = write({**GOOD, "offset": 0, "duration": 1}, {**GOOD, "offset": 1, "duration": 1})
    assert len(read_manifest(file, task="ctc")) == 2


def test_channels_of_one_file_are_no_duplicates(write):
    row = {"audio_filepath": "a.wav", "text": "GO"}
    manifest = load_manifest(write(*({**row, "channel": channel} for channel in (0, 1, 1))))
    manifest.check("ctc", files=False)
    assert [row.source.channel for row in manifest.rows] == [0, 1]
    assert [(problem.line, problem.code) for problem in manifest.problems] == [(3, "duplicate")]


def test_rows_may_be_anything_where_no_task_is_asked_for(write):
    assert len(read_manifest(write(GOOD, GOOD, {"audio_filepath": "b.wav"}))) == 3


def test_a_missing_file_is_a_bad_row(write):
    file = write(GOOD, {**GOOD, "audio_filepath": "gone.wav"})
    with pytest.raises(UsageError, match=r"m\.jsonl:2: gone\.wav: no such file"):
        read_manifest(file, task="ctc")
    assert len(read_manifest(file, task="ctc", skip_bad=True)) == 1


def test_labels_make_a_manifest_for_classification(write):
    manifest = load_manifest(write({"audio_filepath": "a.wav", "label": "yes", "text": "YES"}, GOOD))
    assert manifest.task == "classification"
    manifest.check(manifest.task, files=False)
    assert [problem.code for problem in manifest.problems] == ["no_reference"]


def test_a_manifest_without_a_good_row_is_refused(write):
    with pytest.raises(UsageError, match="has no good row"):
        read_manifest(write(b"{"), skip_bad=True)
    with pytest.raises(UsageError, match="is empty"):
        read_manifest(write(b"\n"))


def test_a_manifest_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot read the manifest"):
        read_manifest(tmp_path / "none.jsonl")


def test_many_problems_are_named_up_to_a_number_and_counted(write, caplog):
    with caplog.at_level(logging.WARNING, "sewcli"):
        read_manifest(write(GOOD, *[b"{"] * 50), skip_bad=True)
    assert len(caplog.messages) == NAMED + 2
    assert caplog.messages[-2] == "... and 30 more"
    assert "50 bad rows" in caplog.messages[-1]


@pytest.mark.parametrize(
    "row",
    [
        {"text": "\ud800"},
        {"text": "GO", "set": "a\udcff"},
        {"label": "\udfff"},
        {"events": [{"label": "\ud800", "start": 0, "end": 1}]},
    ],
    ids=str,
)
def test_what_could_not_be_written_again_is_no_text(tmp_path: Path, row: dict[str, Any]) -> None:
    file = tmp_path / "m.jsonl"
    file.write_text(json.dumps({"audio_filepath": "a.wav", **row}) + "\n")
    manifest = load_manifest(file)
    assert not manifest.rows
    [problem] = manifest.problems
    assert "is no Unicode text" in problem.message
    problem.message.encode()

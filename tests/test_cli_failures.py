"""The file of --failures: what stands in it, and where it may not be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Sew


def test_failures_are_listed_as_json_streams_have_them(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    given = ("transcribe", tmp_path / "text.wav", audio, tmp_path / "gone.wav", "-m", ctc)
    expected = [record for record in sew(*given, "-f", "json").records if "error" in record]
    assert [record["error"]["code"] for record in expected] == ["not_audio", "not_found"]
    listed = tmp_path / "failures.jsonl"
    listed.write_text('{"path": "of a run before", "error": {"code": "x"}}\n')
    result = sew(*given, "-o", tmp_path / "out", "--failures", listed)
    assert result.code == 3
    rows = [{"audio_filepath": str(tmp_path / name)} for name in ("text.wav", "gone.wav")]
    assert [json.loads(line) for line in listed.read_text().splitlines()] == [
        record | row for record, row in zip(expected, rows, strict=True)
    ]
    assert sew("transcribe", audio / "a.wav", "-m", ctc, "--failures", listed).code == 0
    assert listed.read_text() == ""


@pytest.mark.parametrize(
    "content", [b"RIFF\x00 no list", b'{"audio_filepath": "a.wav"}\n', b"[[\n", b"of results"]
)
def test_a_file_that_holds_something_else_is_not_replaced_by_failures(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, content: bytes
) -> None:
    other = tmp_path / "precious"
    if content == b"of results":  # of which the first has failed
        content = sew("transcribe", "gone.wav", audio / "b.wav", "-m", ctc, "-f", "json").out
        assert b"error" in content.splitlines()[0]
    other.write_bytes(content)
    given = ("transcribe", audio / "a.wav", "-m", ctc, "--failures", other)
    refused = sew(*given)
    assert (refused.code, refused.out, other.read_bytes()) == (2, b"", content)
    assert f"--failures {other}: is there, and is no list of failures" in refused.err
    done = sew(*given, "--overwrite")
    assert (done.code, done.err, other.read_bytes()) == (0, "", b"")


def test_failures_may_be_listed_in_the_output_directory_but_not_over_an_output(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = (
        "transcribe",
        audio / "a.wav",
        tmp_path / "gone.wav",
        "-m",
        ctc,
        "-o",
        out,
        "-f",
        "json",
        "--resume",
    )
    assert sew(*given, "--failures", out / "failed.jsonl").code == 3
    assert json.loads((out / "failed.jsonl").read_text())["path"] == str(tmp_path / "gone.wav")
    before = (out / "a.json").read_text()
    for name, told in (
        ("a.json", "is there, and is no list of failures"),
        ("gone.json", "is an output of this run"),
        (".sew-journal.jsonl", "are for runs with -o"),
    ):
        result = sew(*given, "--failures", out / name)
        assert (result.code, told in result.err) == (2, True)
    assert (out / "a.json").read_text() == before
    assert "1 of 2" in sew(*given).err


def test_a_name_that_no_file_can_have_is_one_failure_among_others(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "f.jsonl"
    listed.touch()
    result = sew("transcribe", "a" * 300 + ".wav", audio / "a.wav", "-m", ctc, "--failures", listed)
    assert (result.code, len(result.lines)) == (3, 1)
    assert json.loads(listed.read_text())["error"]["code"] == "unreadable"


def test_what_failed_is_tried_again_by_its_list(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [b"gone.wav", "caf\udce9.wav".encode(errors="surrogateescape")]
    (tmp_path / "names").write_bytes(b"\0".join(names))
    listed = tmp_path / "lists" / "f.jsonl"
    listed.parent.mkdir()
    given = ("-m", ctc, "-0", "--files-from", tmp_path / "names", "--failures", listed, "--channel", "0")
    assert sew("transcribe", *given).code == 4
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes((audio / "b.wav").read_bytes())
    result = sew("transcribe", "-m", ctc, "--files-from", listed, "-f", "json")
    assert result.code == 0
    assert [(record["path"], record["channel"]) for record in result.records] == [
        (os.fsdecode(name), 0) for name in names
    ]


def test_rows_of_a_manifest_that_failed_are_tried_again_from_anywhere(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    rows = [
        {"audio_filepath": "a.wav", "text": "a", "offset": 0.5, "duration": 1.0},
        {"audio_filepath": "a.wav", "text": "b", "duration": 3.0},
        {"text": "no file"},
    ]
    (clips / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_bytes((audio / "b.wav").read_bytes())  # another of this name
    given = ("align", "-m", ctc, "-f", "json", "--files-from")
    assert sew(*given, clips / "m.jsonl", "--failures", "f.jsonl").code == 4
    (clips / "a.wav").write_bytes((audio / "a.wav").read_bytes())
    first, whole = sew(*given, "f.jsonl").records
    assert (first["path"], first["text"], first["offset"], first["duration"]) == ("a.wav", "a", 0.5, 1.0)
    assert (whole["path"], whole["text"], whole["duration"]) == ("a.wav", "b", 3.0)
    assert "f.jsonl:3: passed over" in sew(*given, "f.jsonl").err


def test_what_cannot_be_written_is_listed_with_its_part(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.wav").write_bytes((audio / "a.wav").read_bytes())
    listed = tmp_path / "f.jsonl"
    twice = (audio / "a.wav", tmp_path / "a.wav", "-f", "ctm", "--start", "0.1")
    assert sew("transcribe", *twice, "-m", ctc, "--failures", listed).code == 3
    (record,) = map(json.loads, listed.read_text().splitlines())
    assert (record["path"], record["offset"]) == (str(tmp_path / "a.wav"), 0.1)
    (again,) = sew("transcribe", "--files-from", listed, "-m", ctc, "-f", "json").records
    assert (again["path"], again["offset"]) == (str(tmp_path / "a.wav"), 0.1)


def test_a_text_that_cannot_be_spelled_is_kept_for_another_try(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    row = {"audio_filepath": str(audio / "a.wav"), "text": "what?", "offset": 0.0, "duration": 1.5}
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    given = ("align", "-m", ctc, "-f", "json", "--files-from")
    assert sew(*given, tmp_path / "m.jsonl", "--failures", tmp_path / "f.jsonl").code == 4
    failed = json.loads((tmp_path / "f.jsonl").read_text())
    assert failed.items() > row.items()
    (again,) = sew(*given, tmp_path / "f.jsonl", "--ignore-punctuation").records
    assert (again["text"], again["duration"]) == ("what?", 1.5)


def test_a_part_outside_the_window_is_kept_and_what_is_no_file_is_not(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    row = {"audio_filepath": str(audio / "a.wav"), "offset": 1.0, "duration": 0.5}
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + '\n{"text": "no file"}\n')
    given = ("transcribe", "-m", ctc, "-f", "json", "--files-from")
    assert sew(*given, tmp_path / "m.jsonl", "--end", "0.9", "--failures", tmp_path / "f.jsonl").code == 4
    part, bad = map(json.loads, (tmp_path / "f.jsonl").read_text().splitlines())
    assert part.items() > row.items()
    assert bad["audio_filepath"] is None
    assert sew(*given, tmp_path / "f.jsonl").records[0]["duration"] == 0.5


def test_a_failure_that_was_that_of_no_file_is_no_row_of_its_list(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    """Else a loop over what failed would never end."""
    manifest, failures = tmp_path / "m.jsonl", tmp_path / "failures.jsonl"
    manifest.write_text('{"audio_filepath": "gone.wav"}\n{"text": "of nothing"}\n')
    first = sew("transcribe", "--files-from", manifest, audio / "b.wav", "-m", ctc, "--failures", failures)
    assert first.code == 3
    assert len(failures.read_text().splitlines()) == 2
    again = sew("transcribe", "--files-from", failures, audio / "b.wav", "-m", ctc, "-f", "json")
    assert [record["path"] for record in again.records] == [str(audio / "b.wav"), "gone.wav"]


def test_failures_go_behind_what_standard_error_holds(ctc: Path, audio: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    for number, stream in ((2, "/dev/stderr"), (1, "/dev/stdout")):
        with log.open("ab") as told:
            command = [sys.executable, "-m", "sewcli", "transcribe", "gone.wav", audio / "a.wav", "-m", ctc]
            streams = {"stdout" if number == 1 else "stderr": told}
            others = {"stderr" if number == 1 else "stdout": subprocess.DEVNULL}
            subprocess.run([*command, "--failures", stream], **streams, **others, check=False)
    lines = log.read_text().splitlines()
    assert lines[0] == "old"
    assert [line.split(":")[0] for line in lines[1:3]] == ["sew", '{"path"']
    assert lines[3].startswith('{"path": "gone.wav"')
    assert lines[4].startswith(str(audio / "a.wav"))


@pytest.mark.parametrize("command", ["transcribe", "classify", "align", "embed"])
def test_a_place_for_failures_that_cannot_be_is_refused_before_anything_runs(
    sew: Sew, audio: Path, tmp_path: Path, command: str
) -> None:
    given = (command, audio / "a.wav", *(["--text", "a"] if command == "align" else []))
    result = sew(*given, "--failures", tmp_path / "no" / "f.jsonl")
    assert (result.code, result.messages[0].split(":")[1:3]) == (
        2,
        [f" --failures {tmp_path}/no/f.jsonl", " cannot be written"],
    )
    assert "a file is needed" in sew(*given, "--failures", tmp_path).err
    assert "a file is needed" in sew(*given, "--failures", "-").err
    inputs = tmp_path / "inputs.jsonl"
    row = json.dumps({"audio_filepath": str(audio / "a.wav"), "text": "a"})
    inputs.write_text(row)
    result = sew(command, "--files-from", inputs, "--failures", inputs)
    assert (result.code, "is an input" in result.err) == (2, True)
    assert inputs.read_text() == row


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_the_list_of_failures_ends_the_run(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    result = sew("transcribe", tmp_path / "gone.wav", "-m", ctc, "--failures", "/dev/full")
    assert result.code == 1
    assert "sew: --failures /dev/full: cannot be written: No space left on device" in result.messages

"""Bad inputs: one clear line each, the exit code of the contract, and the rest of the run unharmed."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import write_babble

from sewcli.cli import app


def bad_inputs(folder: Path) -> dict[str, tuple[str, str]]:
    """Write every kind of bad input; by file name its error code and a part of its message."""
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("This is a text, whatever its name says.\n" * 50)
    whole = write_babble(folder / "cut.flac", 3.0).read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    wav = write_babble(folder / "cut.wav", 1.0).read_bytes()
    (folder / "cut.wav").write_bytes(wav[: len(wav) // 2])
    soundfile.write(folder / "nothing.wav", np.zeros(0, np.float32), 16_000)
    soundfile.write(folder / "short.wav", np.zeros(160, np.float32), 16_000)
    samples = np.zeros(32_000, np.float32)
    samples[24_000] = np.nan
    soundfile.write(folder / "nan.wav", samples, 16_000, subtype="FLOAT")
    samples[24_000] = np.inf
    soundfile.write(folder / "inf.wav", samples, 16_000, subtype="FLOAT")
    return {
        "absent.wav": ("not_found", "no such file"),
        "empty.wav": ("empty_file", "empty"),
        "text.wav": ("not_audio", "not an audio file"),
        "cut.flac": ("damaged", "damaged or cut"),
        "cut.wav": ("damaged", "damaged or cut"),
        "nothing.wav": ("no_samples", "no samples"),
        "short.wav": ("too_short", "10 ms"),
        "nan.wav": ("not_finite", "NaN at 1.500 s"),
        "inf.wav": ("not_finite", "infinite at 1.500 s"),
    }


@pytest.mark.parametrize("batch", ["0", "30"])
def test_every_bad_input_fails_alone_with_one_line_and_an_error_object_in_its_place(
    sew: Sew, ctc: Path, tmp_path: Path, batch: str
) -> None:
    expected = bad_inputs(tmp_path)
    good = write_babble(tmp_path / "good.wav", 1.0)
    [alone] = sew("transcribe", good, "-m", ctc, "-f", "json").records
    inputs = [path for name in expected for path in (tmp_path / name, good)]
    result = sew("transcribe", *inputs, "-m", ctc, "-f", "json", "--batch-seconds", batch)
    assert result.code == 3
    records = result.records
    assert [record["path"] for record in records] == [str(path) for path in inputs]
    assert records[1::2] == [alone] * len(expected)
    assert len(result.messages) == len(expected)
    for (name, (code, part)), record, line in zip(
        expected.items(), records[::2], result.messages, strict=True
    ):
        assert list(record) == ["path", "error"]
        assert list(record["error"]) == ["code", "message"]
        assert record["error"]["code"] == code
        assert line == f"sew: {record['error']['message']}"
        assert line.startswith(f"sew: {tmp_path / name}: ")
        assert part in line
        assert line.endswith(")"), "what to do next is missing"


def test_every_input_failed_is_exit_4_and_text_output_is_empty(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    names = bad_inputs(tmp_path)
    result = sew("transcribe", *(tmp_path / name for name in names), "-m", ctc)
    assert (result.code, result.out) == (4, b"")
    assert len(result.messages) == len(names)


def test_missing_file_alone_is_exit_4_and_beside_a_good_one_3(sew: Sew, ctc: Path, audio: Path) -> None:
    assert sew("transcribe", "absent.wav", "-m", ctc).code == 4
    result = sew("transcribe", "absent.wav", audio / "b.wav", "-m", ctc)
    assert result.code == 3
    assert [line.split("\t")[0] for line in result.lines] == [str(audio / "b.wav")]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission_is_a_failed_input(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    path = write_babble(tmp_path / "locked.wav", 1.0)
    path.chmod(0)
    result = sew("transcribe", path, "-m", ctc)
    assert result.code == 4
    [message] = result.messages
    assert f"{path}: permission denied" in message


def test_bad_rows_of_a_manifest_fail_alone(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    write_babble(tmp_path / "good.wav", 1.0)
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text(
        '{"audio_filepath": "good.wav"}\n'
        '{"audio_filepath": "good.wav", "offset": 5}\n'
        '{"audio": "good.wav"}\n'
        '{"audio_filepath": \n'
        '{"audio_filepath": "good.wav", "offset": 0.99, "duration": 0.01}\n'
    )
    result = sew("transcribe", "--files-from", manifest, "-m", ctc, "-f", "json")
    assert result.code == 3
    codes = [record.get("error", {}).get("code") for record in result.records]
    assert codes == [None, "no_samples", "source", "source", "too_short"]
    assert f"{manifest}:3" in result.messages[1]
    assert f"{manifest}:4" in result.messages[2]


@pytest.mark.parametrize("command", ["transcribe", "classify"])
def test_nothing_to_do_is_wrong_usage_before_a_model_is_looked_for(
    sew: Sew, tmp_path: Path, command: str
) -> None:
    (tmp_path / "notes.txt").write_text("no audio")
    (tmp_path / "empty.txt").write_text("\n")
    for given, part in (
        ((), "no input"),
        ((tmp_path,), str(tmp_path)),
        (("",), "empty string"),
        (("-", "-"), "standard input"),
        (("--files-from", tmp_path / "absent.txt"), "absent.txt"),
    ):
        result = sew(command, *given, "-m", "no-such-model")
        assert (result.code, result.out) == (2, b"")
        [message] = result.messages
        assert part in message


def test_list_without_entries_is_wrong_usage(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    result = sew("transcribe", "--files-from", tmp_path / "empty.txt", "-m", ctc)
    assert result.code == 2
    assert "empty.txt lists no input" in result.err


def test_file_whose_name_is_a_dash_is_read(
    sew: Sew, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = write_babble(tmp_path / "good.wav", 1.0)
    wav.rename(tmp_path / "-")
    monkeypatch.chdir(tmp_path)
    result = sew("transcribe", "./-", "-m", ctc)
    assert (result.code, result.err) == (0, "")


def test_eight_channels_and_192_khz_are_good_input(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    many = write_babble(tmp_path / "many.wav", 1.0, channels=8)
    high = write_babble(tmp_path / "high.flac", 1.0, rate=192_000)
    both = write_babble(tmp_path / "both.wav", 1.0, rate=192_000, channels=8)
    result = sew("transcribe", many, high, both, "-m", ctc, "-f", "json")
    assert (result.code, result.err) == (0, "")
    assert [record["duration"] for record in result.records] == [1.0, 1.0, 1.0]
    assert all(record["text"] for record in result.records)


def test_output_directory_that_is_a_file_is_wrong_usage(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    result = sew("transcribe", audio / "b.wav", "-m", ctc, "-o", tmp_path / "out")
    assert result.code == 2
    assert str(tmp_path / "out") in result.err


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
def test_list_from_a_pipe_works_with_an_output_directory(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    # what a shell makes of --files-from <(find ...)
    reading, writing = os.pipe()
    os.write(writing, f"{audio / 'b.wav'}\n".encode())
    os.close(writing)
    try:
        result = sew("transcribe", "--files-from", f"/dev/fd/{reading}", "-m", ctc, "-o", tmp_path)
    finally:
        os.close(reading)
    assert result.code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["b.txt"]


def test_names_that_no_file_can_have_fail_alone(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "list"
    rows = ['{"audio_filepath": "\\ud800.wav"}', "/", "x" * 300, str(audio / "b.wav")]
    manifest.write_text("\n".join(rows))
    result = sew("transcribe", "--files-from", manifest, "-m", ctc, "-o", tmp_path / "out")
    assert result.code == 3
    assert len(result.messages) == 3
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["b.txt"]
    assert sew("transcribe", "y" * 300, "-m", ctc).code == 4


def test_no_room_for_the_samples_fails_that_input_alone(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = write_babble(tmp_path / "long.wav", 130.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    result = sew("transcribe", long, audio / "b.wav", "-m", ctc, "-f", "json")
    assert result.code == 3
    assert result.records[0]["error"]["code"] == "no_space"
    assert "TMPDIR" in result.err


def test_error_object_is_json_also_for_an_odd_name(sew: Sew, ctc: Path) -> None:
    result = sew("transcribe", "a\nb\t[red].wav", "-m", ctc, "-f", "json")
    [record] = [json.loads(line) for line in result.out.splitlines()]
    assert record["path"] == "a\nb\t[red].wav"
    [message] = result.messages
    assert "[red].wav" in message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("transcribe", "a.wav", "-o", ""), "-o is an empty string"),
        (("transcribe", "a.wav", "--save-logits", ""), "--save-logits is an empty string"),
        (("train", "clips.jsonl", "-o", ""), "-o is an empty string"),
        (("models", "default", "--task", "dance"), "no task 'dance'"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(
    sew: Sew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = sew(*given)
    assert (result.code, result.out) == (2, b"")
    assert message in result.err
    assert not list(tmp_path.iterdir())


def test_a_list_that_is_none_is_refused_in_one_line(sew: Sew, tmp_path: Path) -> None:
    recording = write_babble(tmp_path / "a.wav", 1.0)
    names = tmp_path / "names"
    names.write_bytes(os.fsencode(recording) + b"\0" + os.fsencode(recording) + b"\0")
    for given in (recording, names):
        result = sew("transcribe", "--files-from", given)
        assert (result.code, result.out, len(result.messages)) == (2, b"", 1)
        assert "add -0" in result.err


def test_the_way_out_of_existing_files_is_one(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    given = ("transcribe", write_babble(tmp_path / "a.wav", 1.0), "-m", ctc, "--save-logits", tmp_path / "l")
    assert sew(*given).code == 0
    refused = sew(*given)
    assert refused.code == 2
    assert "add --overwrite to replace, or choose another --save-logits" in refused.err
    assert "--resume" not in refused.err


def test_a_place_without_permission_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "no.toml"))

    monkeypatch.setattr(app, "app", refuse)  # whatever command it is
    monkeypatch.setattr("sys.argv", ["sew"])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert f"{tmp_path}/no.toml: Permission denied (choose a place that is yours" in told


def test_a_model_that_was_never_fetched_is_missing_and_not_damaged(sew: Sew) -> None:
    result = sew("models", "verify", "sew-tiny")
    assert (result.code, result.out) == (5, b"sew-tiny\tmissing\n")


def test_a_missing_file_of_a_manifest_is_told_with_the_place_that_was_tried(sew: Sew, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"audio_filepath": "sub/gone.wav"}) + "\n")
    result = sew("transcribe", "--files-from", tmp_path / "rows.jsonl", tmp_path / "gone.wav")
    listed = f"{tmp_path}/sub/gone.wav was tried: a path in a manifest begins where the manifest lies"
    assert result.code == 4
    assert f"sub/gone.wav: no such file ({listed})" in result.err
    assert f"{tmp_path}/gone.wav: no such file (check the path and the working directory)" in result.err

"""A file where a directory is to be written, or the reverse: told before anything runs, with what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import Sew

writing_a_file = pytest.mark.parametrize(
    ("given", "name"),
    [
        ("embed {audio} --pool mean --stack {taken}", "states.npy"),
        ("evaluate {manifest} --table {taken}", "table.jsonl"),
        ("evaluate {manifest} --confusion {taken}", "matrix.csv"),
        ("lm build {manifest} -o {taken}", "mine.arpa"),
    ],
)


@pytest.mark.parametrize(
    "given",
    [
        "transcribe {audio} -o {taken}",
        "transcribe {audio} -o {taken} --dry-run",
        "transcribe {audio} -o {taken}/below",
        "transcribe {audio} -o {taken} --resume",
        "transcribe {audio} --save-logits {taken}",
        "transcribe {audio} --plot {taken}",
        "classify {audio} -o {taken}",
        "embed {audio} -o {taken}",
        "train {taken} -o {taken}",
        "models convert nano -o {taken}",
    ],
)
def test_a_file_where_a_directory_is_needed(sew: Sew, audio: Path, tmp_path: Path, given: str) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    result = sew(*given.format(audio=audio / "b.wav", taken=taken).split())
    [message] = result.messages
    assert (result.code, result.out) == (2, b"")
    assert f"{taken}: a directory is needed, and it is a file (name a" in message or (
        f"{taken}/below: a directory is needed, and {taken} is a file" in message
    )
    assert taken.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [taken]


@writing_a_file
@pytest.mark.parametrize("overwrite", ["", " --overwrite"])
def test_a_directory_where_a_file_is_needed(
    sew: Sew, audio: Path, manifest: Path, tmp_path: Path, given: str, name: str, overwrite: str
) -> None:
    taken = tmp_path / name
    taken.mkdir()
    result = sew(*(given + overwrite).format(audio=audio / "b.wav", manifest=manifest, taken=taken).split())
    [message] = result.messages
    assert (result.code, result.out) == (2, b"")
    assert f"{taken}: a file is needed, and it is a directory (name a file in it: {taken / name})" in message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@writing_a_file
@pytest.mark.parametrize("through", ["", "link-"])
def test_a_pipe_or_a_device_is_no_file_to_replace(
    sew: Sew, audio: Path, manifest: Path, tmp_path: Path, given: str, name: str, through: str
) -> None:
    os.mkfifo(tmp_path / name)
    (tmp_path / f"link-{name}").symlink_to(tmp_path / name)
    taken = tmp_path / f"{through}{name}"
    text = f"{given} --overwrite".format(audio=audio / "b.wav", manifest=manifest, taken=taken)
    result = sew(*text.split())
    [message] = result.messages
    assert (result.code, result.out) == (2, b"")
    assert f"{taken}: it is a pipe or a device, and no file (name a file)" in message
    assert (tmp_path / name).is_fifo()
    assert (tmp_path / f"link-{name}").is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_where_one_result_is_to_be_written_fails_it_alone(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "b.txt")
    result = sew("transcribe", audio / "b.wav", audio / "a.wav", "-m", ctc, "-o", tmp_path, "--overwrite")
    assert result.code == 3
    assert f"cannot write {tmp_path / 'b.txt'}: it is a pipe or a device" in result.err
    assert (tmp_path / "b.txt").is_fifo()
    assert (tmp_path / "a.txt").read_text()


@pytest.mark.parametrize(
    "given",
    [
        "transcribe --files-from a.txt -o .",
        "transcribe a.wav --hotwords-file a.txt --decoder beam -o .",
        "align a.wav --text-file a.json -f json -o .",
    ],
)
def test_what_is_read_beside_the_inputs_is_not_replaced(
    sew: Sew, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    shutil.copyfile(audio / "a.wav", tmp_path / "a.wav")
    for name in ("a.txt", "a.json"):
        (tmp_path / name).write_text("a.wav")
    monkeypatch.chdir(tmp_path)
    result = sew(*given.split(), "--overwrite")
    assert result.code == 2, result.err
    assert "is an input" in result.err
    assert {(tmp_path / name).read_text() for name in ("a.txt", "a.json")} == {"a.wav"}


def test_what_to_do_instead_of_one_file_for_o(sew: Sew, audio: Path, tmp_path: Path) -> None:
    taken = tmp_path / "b.txt"
    taken.write_text("")
    assert "or write one file with > FILE, without -o" in sew("transcribe", audio / "b.wav", "-o", taken).err

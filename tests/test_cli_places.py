"""A file where a directory is to be written, or the reverse: told before anything runs, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Sew


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


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("embed {audio} --pool mean --stack {taken}", "states.npy"),
        ("evaluate {manifest} --table {taken}", "table.jsonl"),
        ("evaluate {manifest} --confusion {taken}", "matrix.csv"),
        ("lm build {manifest} -o {taken}", "mine.arpa"),
    ],
)
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


def test_what_to_do_instead_of_one_file_for_o(sew: Sew, audio: Path, tmp_path: Path) -> None:
    taken = tmp_path / "b.txt"
    taken.write_text("")
    assert "or write one file with > FILE, without -o" in sew("transcribe", audio / "b.wav", "-o", taken).err

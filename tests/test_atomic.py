"""Files that are there whole or not at all, whoever writes beside them, and those that make room."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Sew
from helpers import needs_pyctcdecode

from sewcli import atomic
from sewcli.atomic import Folders, check_writable, temporary_beside, write_whole


def test_a_second_changed_file_takes_another_name(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    given = ("transcribe", audio / "b.wav", audio / "a.wav", "-m", ctc, "-o", tmp_path, "--resume")
    assert sew(*given).code == 0
    for text in ("corrected once", "corrected once more"):
        (tmp_path / "b.txt").write_text(text)
        assert "kept as" in sew(*given).err
    assert (tmp_path / "b.txt~").read_text() == "corrected once"
    assert (tmp_path / "b.txt~2").read_text() == "corrected once more"
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").symlink_to(tmp_path / "nowhere")
    assert sew(*given).code == 0
    assert (tmp_path / "a.txt").read_bytes()


def test_threads_that_write_into_one_directory_do_not_meet(tmp_path: Path) -> None:
    """As results and the logits beside them do."""
    content = [bytes([number]) * 200_000 for number in range(8)]

    def write(number: int) -> None:
        for _ in range(25):
            write_whole(
                tmp_path / f"{number}", (content[number][i : i + 999] for i in range(0, 200_000, 999))
            )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert [(tmp_path / f"{number}").read_bytes() == one for number, one in enumerate(content)] == [True] * 8
    assert len(list(tmp_path.iterdir())) == 8


@needs_pyctcdecode
@pytest.mark.parametrize("decoder", [(), ("--decoder", "beam", "--beam-width", "5", "--decode-workers", "2")])
def test_a_name_that_is_too_long_for_what_is_kept_fails_alone(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, decoder: tuple[str, ...]
) -> None:
    """A recording whose name its logits cannot have, with their longer ending; the others are done."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("a", "m" * 240, "z"):
        (tree / f"{name}.wav").write_bytes((audio / "b.wav").read_bytes())
    result = sew("transcribe", tree, "-m", ctc, "--save-logits", tmp_path / "logits", "-f", "json", *decoder)
    assert result.code == 3
    assert ["error" in record for record in result.records] == [False, True, False]
    assert "File name too long" in result.err
    assert sorted(file.name[0] for file in (tmp_path / "logits").iterdir()) == ["a", "z"]


def test_processes_of_one_number_on_machines_of_one_name_have_names_of_their_own(tmp_path: Path) -> None:
    """As containers have that are made from one image: what differs is drawn when a process begins."""
    script = (
        "import os; os.getpid = lambda: 7; import sewcli.atomic as a; print(a.temporary_beside(a.Path('a')))"
    )
    names = {subprocess.check_output([sys.executable, "-c", script]) for _ in range(2)}
    assert len(names) == 2


def test_a_temporary_file_of_another_is_neither_written_to_nor_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / ".sew-taken.tmp"
    taken.write_text("of another")
    monkeypatch.setattr(atomic, "temporary_beside", lambda _: taken)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a.txt", b"mine")
    with pytest.raises(FileExistsError):
        check_writable(tmp_path)
    assert taken.read_text() == "of another"


@pytest.mark.parametrize("numbering", ["of another boot or container", None])
def test_what_cannot_be_told_to_be_gone_goes_by_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbering: str | None
) -> None:
    """Also a file whose process there is none of here."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(atomic, "_numbering", lambda: numbering)
        elsewhere.setattr(os, "getpid", lambda: ended.pid)
        new, old = temporary_beside(tmp_path / "a"), temporary_beside(tmp_path / "b")
    if numbering is None:
        monkeypatch.setattr(atomic, "_numbering", lambda: numbering)
    new.touch()
    old.touch()
    os.utime(old, (0, time.time() - 2 * 3600))
    Folders().make(tmp_path)
    assert list(tmp_path.iterdir()) == [new]

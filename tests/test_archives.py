"""Members of archives as inputs: an archive stays open while its members are read."""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sewcli.audio import archives
from sewcli.audio.download import download
from sewcli.errors import AudioError


def test_the_index_of_an_archive_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all of its members, by all threads; another archive of its name is another."""

    def write(beginning: bytes) -> None:
        with zipfile.ZipFile(tmp_path / "new.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(40):
                archive.writestr(f"in/{number}.wav", beginning + bytes([number]) * 100_000)
        (tmp_path / "new.zip").replace(tmp_path / "a.zip")

    def fetched(number: int) -> bytes:
        target = tmp_path / f"{number}.wav"
        download("a", f"zip://in/{number}.wav::{tmp_path}/a.zip", target)
        return target.read_bytes()

    write(b"one")
    read = []
    contents = zipfile.ZipFile._RealGetContents
    monkeypatch.setattr(
        zipfile.ZipFile, "_RealGetContents", lambda self: (read.append(self), contents(self))[1]
    )
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(fetched, [*range(40)] * 2))
    assert got == [b"one" + bytes([number]) * 100_000 for number in [*range(40)] * 2]
    assert len(read) == 1
    with pytest.raises(AudioError, match="there is no such file"):
        download("a", f"zip://in/gone.wav::{tmp_path}/a.zip", tmp_path / "gone")
    monkeypatch.undo()
    write(b"two")
    assert fetched(3) == b"two" + bytes([3]) * 100_000


def test_few_archives_stay_open(tmp_path: Path) -> None:
    for number in range(5):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            archive.writestr("a.wav", str(number))
    for number in [*range(5), 0]:
        download("a", f"zip://a.wav::{tmp_path}/{number}.zip", tmp_path / "a")
        assert (tmp_path / "a").read_text() == str(number)
    assert len(archives._kept) == 2

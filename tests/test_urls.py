"""Inputs at addresses: a server on this machine, archives, and what is said where nothing can be fetched."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import fsspec  # noqa: F401 - its registry is looked at
import pytest
from conftest import Sew
from helpers import write_babble

import sewcli


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder; /forbidden, /busy and /broken answer as their names say, ?tag=X as the ETag."""

    fetched: ClassVar[list[str]] = []

    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Last-Modified":
            super().send_header(keyword, value)
        elif "?tag=" in self.path:
            super().send_header("ETag", f'"{value if self.path.endswith("=time") else "same"}"')
        elif "?silent" not in self.path:
            super().send_header(keyword, value)

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.fetched.append(self.path)
        if self.path.startswith("/forbidden"):
            self.send_error(403)
        elif self.path.startswith("/busy"):
            self.send_error(503)
        elif self.path.startswith("/broken"):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"RIFF")
        else:
            super().do_GET()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server and the folder it serves."""
    folder = tmp_path_factory.mktemp("site")
    write_babble(folder / "talk.wav", 2.0, seed=4)
    write_babble(folder / "calls" / "two words.flac", 1.5, seed=5, channels=2)
    (folder / "page.html").write_text("<html>Nothing to hear.</html>")
    (folder / "empty.wav").write_bytes(b"")
    with zipfile.ZipFile(folder / "clips.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "talk.wav", "inside/talk.wav")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_is_fetched_sounds_as_the_file_does_and_keeps_its_address(
    sew: Sew, ctc: Path, site: tuple[str, Path]
) -> None:
    pytest.importorskip("aiohttp")
    url, folder = site
    addresses = [
        f"{url}/talk.wav?token=1",
        f"zip://inside/talk.wav::{folder}/clips.zip",
        f"zip://inside/talk.wav::simplecache::{url}/clips.zip",
        f"file://{folder}/talk.wav",
    ]
    result = sew("transcribe", "-m", ctc, "-f", "json", folder / "talk.wav", *addresses)
    assert (result.code, result.err) == (0, "")
    assert [record["path"] for record in result.records] == [str(folder / "talk.wav"), *addresses]
    first = result.records[0]
    assert first["text"]
    for record in result.records[1:]:
        assert {**record, "path": ""} == {**first, "path": ""}
    part = sew("transcribe", "-m", ctc, "-f", "json", f"{url}/talk.wav", "--start", "0.5", "--end", "1.5")
    assert part.records[0]["offset"] == 0.5
    assert part.records[0]["duration"] == 1.0


def test_what_cannot_be_fetched_is_a_failed_input_and_the_run_goes_on(
    sew: Sew, ctc: Path, site: tuple[str, Path]
) -> None:
    pytest.importorskip("aiohttp")
    url, folder = site
    with socket.socket() as probe:  # a port where nothing listens
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}/a.wav"
        expected = {
            f"{url}/gone.wav": ("not_found", "there is no such file"),
            f"{url}/page.html": ("not_audio", "not an audio file"),
            f"{url}/empty.wav": ("empty_file", "is empty"),
            f"{url}/forbidden.wav": ("download", "the server answered 403 Forbidden"),
            f"{url}/busy.wav": ("download", "try again later"),
            f"{url}/broken.wav": ("download", "broke off"),
            closed: ("download", "cannot be fetched"),
            f"zip://gone.wav::{folder}/clips.zip": ("not_found", "there is no such file"),
            f"zip://inside::{folder}/clips.zip": ("is_directory", "is a folder"),
            f"zip://talk.wav::{folder}/page.html": ("download", "cannot be fetched"),
            f"zip://inside/talk.wav::{url}/clips.zip": ("download", "simplecache::"),
        }
        result = sew("transcribe", "-m", ctc, "-f", "json", *expected, f"{url}/talk.wav")
    assert result.code == 3
    assert result.records[-1]["text"]
    assert len(result.messages) == len(expected)
    for record, line, (given, (code, words)) in zip(
        result.records[:-1], result.messages, expected.items(), strict=True
    ):
        assert (record["path"], record["error"]["code"]) == (given, code)
        assert line.startswith(f"sew: {given}: ")
        assert words in line


def test_offline_refuses_the_network_at_once_and_reads_archives_here(
    sew: Sew, ctc: Path, site: tuple[str, Path], tmp_path: Path
) -> None:
    url, folder = site
    here = f"zip://inside/talk.wav::{folder}/clips.zip"
    refused = sew("transcribe", "--offline", "-m", "no-such-model", here, f"{url}/talk.wav")
    assert (refused.code, refused.out) == (2, b"")
    assert "offline" in refused.messages[0]
    assert sew("transcribe", "--offline", "-m", ctc, here).code == 0
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"audio_filepath": path}) + "\n" for path in (f"{url}/talk.wav", here))
    )
    result = sew("transcribe", "--offline", "-m", ctc, "-f", "json", "--files-from", rows)
    assert result.code == 3
    assert result.records[0]["error"]["code"] == "offline"
    assert result.records[1]["path"] == here


def test_resume_knows_a_file_under_an_address_that_was_signed_anew(
    sew: Sew, ctc: Path, site: tuple[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp")
    url, _ = site
    for number, told in enumerate(["", "1 of 1"]):
        signed = f"{url}/talk.wav?X-Amz-Date={number}&X-Amz-Signature=s{number}"
        assert told in sew("transcribe", signed, "-m", ctc, "-o", tmp_path, "--resume").err
    assert "1 of 1" not in sew("transcribe", f"{signed}&v=2", "-m", ctc, "-o", tmp_path, "--resume").err


def test_the_journal_keeps_no_password_of_an_address(
    sew: Sew, ctc: Path, site: tuple[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp")
    given = f"{site[0]}/talk.wav".replace("://", "://me:secret@")
    for told in ("", "1 of 1"):
        assert told in sew("transcribe", given, "-m", ctc, "-o", tmp_path, "--resume").err
    entry = (tmp_path / ".sew-journal.jsonl").read_text()
    assert "://me:***@" in entry
    assert "secret" not in entry


@pytest.mark.parametrize(
    ("given", "module", "hint"),
    [
        ("https://host/a.wav", "aiohttp", "pip install 'sewcli[remote]'"),
        ("s3://bucket/a.wav", "s3fs", "pip install s3fs"),
        ("gs://bucket/a.wav", "gcsfs", "pip install gcsfs"),
        ("htps://host/a.wav", None, "give https, s3"),
    ],
)
def test_a_missing_package_is_wrong_usage_that_names_the_command(
    sew: Sew, monkeypatch: pytest.MonkeyPatch, given: str, module: str | None, hint: str
) -> None:
    if module is not None:
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
        loaded = sys.modules["fsspec.registry"]._registry  # fsspec.registry is a view of it
        for protocol in list(loaded):
            monkeypatch.delitem(loaded, protocol)
    result = sew("transcribe", given)
    assert result.code == 2
    assert hint in result.messages[0]


def test_files_are_named_after_the_address_and_collide_as_files_do(
    sew: Sew, ctc: Path, site: tuple[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp")
    url, folder = site
    out = tmp_path / "out"
    call = f"{url}/calls/two%20words.flac?x=1"
    arguments = ("transcribe", "-m", ctc, "-o", out, call)
    assert sew(*arguments, f"{url}/talk.wav").code == 0
    assert sew(*arguments, "--channel", "split", "-f", "srt").code == 0
    names = sorted(file.name for file in out.iterdir())
    assert names == ["talk.txt", "two words.txt", "two words_ch0.srt", "two words_ch1.srt"]
    clash = sew("transcribe", "-m", ctc, "-o", out, folder / "talk.wav", f"{url}/talk.wav", "--overwrite")
    assert clash.code == 2
    dry = sew("transcribe", "--dry-run", f"{url}/gone.wav")
    assert dry.lines == [f"{url}/gone.wav\t?", "total: 1 input, 0.000 hours, and 1 of unknown length"]


def test_resume_fetches_only_what_its_server_says_has_changed(
    sew: Sew, ctc: Path, site: tuple[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp")
    url, folder = site
    write_babble(folder / "new.wav", 1.0, seed=6)
    paths = ["/new.wav", "/new.wav?tag=time", "/new.wav?tag=same", "/new.wav?silent"]
    given = [url + path for path in paths]
    template = ("--output-template", "{index}.{ext}")

    def run() -> list[str]:
        Handler.fetched.clear()
        arguments = ("-m", ctc, "-o", tmp_path, "-f", "json", "--resume", *template)
        assert sew("transcribe", *given, *arguments).code == 0
        return Handler.fetched.copy()

    assert run() == paths
    assert run() == ["/new.wav?silent"]
    write_babble(folder / "new.wav", 1.5, seed=7)
    os.utime(folder / "new.wav", (1_000_000_000, 1_000_000_000))
    # the size counts with a tag, too
    assert run() == paths
    lengths = [json.loads(file.read_text())["duration"] for file in tmp_path.glob("[1-4].json")]
    assert lengths == [1.5] * 4
    (folder / "new.wav").unlink()
    gone = sew("transcribe", *given, "-m", ctc, "-o", tmp_path, "-f", "json", "--resume", *template)
    assert gone.code == 4
    assert gone.err.count("there is no such file") == 4


def test_python_takes_addresses_as_files(
    ctc: Path, site: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    url, folder = site
    model = sewcli.load(ctc)
    there, here, gone = model.transcribe_many([f"{url}/talk.wav", folder / "talk.wav", f"{url}/gone.wav"])
    assert isinstance(there, sewcli.Transcript)
    assert isinstance(here, sewcli.Transcript)
    assert there.text == here.text
    assert isinstance(gone, sewcli.Failure)
    monkeypatch.setenv("SEW_OFFLINE", "1")
    with pytest.raises(sewcli.AudioError, match="offline"):
        model.transcribe(f"{url}/talk.wav")

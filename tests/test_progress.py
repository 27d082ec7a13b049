"""What is told on standard error while a run goes on: lines of a log, and --verbose."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Sew
from helpers import tiny_model

import sewcli
from sewcli.cli import messages
from sewcli.cli.console import Progress
from sewcli.inputs.source import Source
from sewcli.results import ModelInfo, Transcript


def transcript(path: str, seconds: float) -> Transcript:
    return Transcript(path, seconds, "", (), ModelInfo("nano", None), {})


def test_a_line_tells_files_failures_audio_speed_time_left_and_the_file_in_hand() -> None:
    progress = Progress(bar=False, total=4)
    sources = progress.reading([Source("a.wav", Path("a.wav")), Source("b.wav", Path("b.wav"))])
    assert next(sources).path == "a.wav"
    progress.advance(transcript("a.wav", 3725.4))
    next(sources)
    progress.fail()
    line = progress.line()
    assert re.fullmatch(
        r"2 of 4 files done \(1 failed\), 1:02:05 of audio, [\d.]+ x real time, 0:00 left, at b.wav", line
    )
    assert "left" not in Progress(bar=False).line()


def test_what_was_done_before_counts_and_is_not_still_to_be_done() -> None:
    before = 0
    progress = Progress(bar=False, total=1000, before=lambda: before)
    assert progress.line().startswith("0 of 1000 files done, ")
    before = 998
    assert progress.line().startswith("998 of 1000 files done (998 before), ")
    progress.advance(transcript("a.wav", 1.0))
    assert re.match(r"999 of 1000 files done \(998 before\), .* 0:00 left", progress.line())
    progress.advance(transcript("b.wav", 1.0))
    assert "left" not in progress.line()


def test_lines_come_while_a_file_is_read_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(bar=True, log_every=0.02, total=1) as progress:
        for _ in progress.reading([Source("long.wav", Path("long.wav"))]):
            deadline = time.monotonic() + 30
            lines: list[str] = []
            while len(lines) < 2 and time.monotonic() < deadline:
                time.sleep(0.02)
                lines += capsys.readouterr().err.splitlines()
        progress.advance(transcript("long.wav", 2.0))
    assert len(lines) >= 2
    assert all(line.startswith("sew: 0 of 1 file done, ") and line.endswith("at long.wav") for line in lines)
    assert capsys.readouterr().err.splitlines()[-1].startswith("sew: 1 of 1 file done, 0:02 of audio")


def test_log_lines_are_asked_for_and_the_output_is_the_same(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = sew("transcribe", "-m", ctc, audio)
    assert plain.err == ""
    logged = sew("transcribe", "-m", ctc, audio, "--progress", "log")
    assert logged.out == plain.out
    assert logged.messages[-1].startswith("sew: 3 files done, 0:06 of audio, ")
    assert sew("transcribe", "-m", ctc, audio, "--progress", "log", "--no-progress").err == ""
    monkeypatch.setenv("SEW_PROGRESS", "log")
    assert "3 files done" in sew("transcribe", "-m", ctc, audio).err
    assert messages.LOG_EVERY == 30


@pytest.mark.defaults
def test_verbose_tells_engine_device_and_when_each_file_was_done(sew: Sew, ctc: Path, audio: Path) -> None:
    for option in ("-v", "--debug"):
        result = sew("transcribe", "-m", ctc, audio, option)
        told, *files = result.messages
        assert re.search(r"fast engine on cpu in float32, \d+ threads, loaded in [\d.]+ s$", told)
        assert str(ctc) in told
        names = [line.removeprefix("sew: ").split(": ")[0] for line in files]
        assert names == [str(audio / name) for name in ("a.wav", "b.wav", "sub/c.d.flac")]
        assert re.search(r": 3.00 s of audio, done after [\d.]+ s$", files[0])
    both = sew("transcribe", "-m", ctc, audio, "-v", "-q")
    assert both.code == 2
    assert "exclude each other" in both.messages[0]


@pytest.mark.defaults
def test_a_fall_back_to_the_reference_says_why(sew: Sew, audio: Path, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", "sew", "ctc", feat_extract_norm="layer")
    result = sew("transcribe", "-m", model, audio / "b.wav", "-v")
    assert result.code == 0
    fallback, told, _file = result.messages
    assert re.search(r"runs on transformers, not on the fast engine: .*layer", fallback)
    assert "reference engine on cpu" in told
    quiet = sew("transcribe", "-m", model, audio / "b.wav", "-q")
    assert quiet.err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_shows_results_on_lines_of_their_own(ctc: Path, audio: Path, tmp_path: Path) -> None:
    import pty

    odd = tmp_path / "new\nline.wav"
    shutil.copy(audio / "a.wav", odd)
    files = [audio / "a.wav", odd, audio / "b.wav"]
    ours, theirs = pty.openpty()
    variables = {"TERM": "xterm", "COLUMNS": "200", "PYTHONPATH": str(Path(sewcli.__file__).parent.parent)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEW_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sewcli", "transcribe", "-m", ctc, "-f", "json", *files],
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        env=kept | variables,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # how Linux tells of the end
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait() == 0
    # what is left when what was erased is gone: the line above, and what stood before on a line
    text = re.sub(r"\x1b\[\?25[hl]", "", shown.decode())
    text = re.sub(r"[^\n]*\r?\n\r?\x1b\[1A\x1b\[2K", "", text)
    lines = [re.split(r"\x1b\[2K|\r", line.rstrip("\r"))[-1] for line in text.split("\n")]
    visible = [re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", line) for line in lines]
    assert b"\x1b[?25l" in shown  # the line that changes was there
    assert [json.loads(line)["path"] for line in visible if line.strip()] == list(map(str, files))

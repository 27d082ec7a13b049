"""What is told on standard error while a run goes on: lines of a log, and --verbose."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from conftest import Sew
from helpers import tiny_model

from sewcli.cli import run
from sewcli.cli.console import Progress
from sewcli.results import ModelInfo, Transcript
from sewcli.sources import Source


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
    assert all(line.startswith("sew: 0 of 1 files done, ") and line.endswith("at long.wav") for line in lines)
    assert capsys.readouterr().err.splitlines()[-1].startswith("sew: 1 of 1 files done, 0:02 of audio")


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
    assert run.LOG_EVERY == 30


def test_verbose_tells_engine_device_and_the_time_of_each_file(sew: Sew, ctc: Path, audio: Path) -> None:
    for option in ("-v", "--debug"):
        result = sew("transcribe", "-m", ctc, audio, option)
        told, *files = result.messages
        assert re.search(r"fast engine on cpu in float32, \d+ threads, loaded in [\d.]+ s$", told)
        assert str(ctc) in told
        names = [line.removeprefix("sew: ").split(": ")[0] for line in files]
        assert names == [str(audio / name) for name in ("a.wav", "b.wav", "sub/c.d.flac")]
        assert re.search(r": 3.00 s of audio in [\d.]+ s, [\d.]+ x real time$", files[0])
    both = sew("transcribe", "-m", ctc, audio, "-v", "-q")
    assert both.code == 2
    assert "exclude each other" in both.messages[0]


def test_a_fall_back_to_the_reference_says_why(sew: Sew, audio: Path, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", "sew", "ctc", feat_extract_norm="layer")
    result = sew("transcribe", "-m", model, audio / "b.wav", "-v")
    assert result.code == 0
    fallback, told, _file = result.messages
    assert re.search(r"runs on transformers, not on the fast engine: .*layer", fallback)
    assert "reference engine on cpu" in told
    quiet = sew("transcribe", "-m", model, audio / "b.wav", "-q")
    assert quiet.err == ""

"""How a run ends: interrupt, closed pipe, an unexpected error."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest
from conftest import Sew

from sewcli import temporary
from sewcli.cli import app, garbage
from sewcli.cli.streams import ClosedPipe


def test_debug_shows_the_traceback_and_keeps_the_exit_code(sew: Sew, audio: Path) -> None:
    result = sew("transcribe", audio / "b.wav", "-m", "nanno", "--debug")
    assert result.code == 5
    assert "Traceback" in result.err
    assert "did you mean nano" in result.err


def test_a_working_directory_that_is_gone_is_told(
    sew: Sew, audio: Path, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = sew("transcribe", audio / "b.wav", "-m", ctc)
    assert (result.code, result.err) == (2, "sew: the working directory is gone (cd to one that is there)\n")


def test_a_temporary_directory_that_cannot_be_used_is_told(ctc: Path, audio: Path) -> None:
    command = [sys.executable, "-m", "sewcli", "transcribe", audio / "b.wav", "-m", ctc]
    environment = {**os.environ, "TMPDIR": "/nonexistent"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "TMPDIR /nonexistent cannot be written to" in result.stderr


@pytest.mark.parametrize("name", ["{folder}/../{last}", "."])
def test_a_temporary_directory_by_another_name_is_itself(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from sewcli.temporary import tell_other_place

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", name.format(folder=tmp_path, last=tmp_path.name))
    monkeypatch.setattr(tempfile, "tempdir", None)
    tell_other_place()
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert not caplog.messages
    tell_other_place()
    assert "none is taken" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal")
def test_a_terminal_that_is_closed_ends_a_run_with_130(ctc: Path, tmp_path: Path) -> None:
    import pty

    process, terminal = pty.fork()
    if not process:
        os.execv(
            sys.executable,
            [sys.executable, "-m", "sewcli", "transcribe", "-", "-m", str(ctc), "-o", str(tmp_path)],
        )
    deadline = time.monotonic() + 60
    while b"reading" not in os.read(terminal, 4096) and time.monotonic() < deadline:
        pass
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 130


def test_an_unknown_model_is_told_before_the_inputs_are_listed(
    sew: Sew, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(*_: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr("sewcli.cli.input_options.expand", listed)
    for command in ("transcribe", "classify", "embed"):
        result = sew(command, audio, "-m", "nanno", "-o", tmp_path / "out")
        assert result.code == 5
        assert "did you mean nano" in result.err


class InterruptingStream(io.TextIOBase):
    """Standard input whose reader gets Control-C, once a file is there."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def buffer(self) -> InterruptingStream:
        return self

    def read(self, size: int | None = -1) -> str:
        for _ in range(600):
            if self._file.exists():
                break
            time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.2)
        return ""


@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is not signal.default_int_handler, reason="SIGINT is ignored here"
)
def test_interrupt_is_exit_130_and_keeps_what_is_written(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = ("transcribe", audio / "b.wav", "-", audio / "a.wav", "-m", ctc, "-o", out)
    result = sew(*given, stdin=InterruptingStream(out / "b.txt"))
    assert (result.code, result.out) == (130, b"")
    # without a journal there is nothing that the next run could go on from
    assert re.fullmatch(rf"sew: interrupted: [01] of 3 inputs done, kept in {out}\n", result.err)
    assert [file.name for file in out.iterdir()] == ["b.txt"]


@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is not signal.default_int_handler, reason="SIGINT is ignored here"
)
def test_interrupt_tells_where_nothing_is_kept(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    stack = tmp_path / "states.npy"
    given = ("embed", audio / "b.wav", "-", "-m", ctc, "--pool", "mean", "--stack", stack)
    result = sew(*given, stdin=InterruptingStream(audio / "b.wav"))
    assert result.code == 130
    assert re.fullmatch(
        rf"sew: interrupted: [01] inputs? done, but {stack} is written at the end\n", result.err
    )
    assert list(tmp_path.iterdir()) == []


def test_interrupt_of_one_input_claims_nothing(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sewcli.cli.writing.report_failure", interrupted)
    assert sew("transcribe", audio / "gone.wav", "-m", ctc).err == "sew: interrupted\n"
    manifest = audio.parent / "gone.jsonl"
    manifest.write_text('{"audio_filepath": "gone.wav", "text": "A"}')
    monkeypatch.setattr("sewcli.cli.commands.scoring.report_failure", interrupted)
    result = sew("evaluate", manifest, "-m", ctc)
    assert (result.code, result.out) == (130, b"")
    assert result.err == "sew: interrupted: 0 utterances were scored, nothing is written\n"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes")
def test_closed_pipe_ends_the_run_quietly_with_exit_0(ctc: Path, audio: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEW_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sewcli", "transcribe", audio, "-m", ctc, "-f", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=120)
    assert err == b""
    assert process.returncode == 0


def test_without_a_reader_of_messages_the_run_goes_on(ctc: Path, audio: Path, tmp_path: Path) -> None:
    """Its exit code tells."""
    command = f"{sys.executable} -m sewcli transcribe gone.wav {audio}/b.wav -m {ctc} -o {tmp_path} 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 3
    assert (tmp_path / "b.txt").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    "given", ["models list", "classify {audio} -m {model}", "embed {audio}/b.wav -m {model}"]
)
def test_a_closed_standard_output_is_told_in_one_line(given: str, classifier: Path, audio: Path) -> None:
    arguments = given.format(audio=audio, model=classifier)
    command = f"{sys.executable} -m sewcli {arguments} >&-"
    result = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert [line for line in result.stderr.splitlines() if "standard output is closed" in line]
    assert "Traceback" not in result.stderr
    assert "unexpected" not in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes")
@pytest.mark.parametrize(
    "given", ["--help", "--version", "transcribe --help", "models --help", "lm build --help"]
)
def test_help_into_a_closed_pipe_ends_quietly_with_exit_0(given: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sewcli", *given.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")


def test_unexpected_error_is_exit_1_with_one_line(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sewcli.writers import jsonl

    def broken(*_arguments: object, **_options: object) -> bytes:
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr(jsonl, "as_object", broken)
    result = sew("transcribe", audio / "b.wav", "-m", ctc, "-f", "json")
    assert (result.code, result.out) == (1, b"")
    [message] = result.messages
    assert "ZeroDivisionError: first line" in message
    assert "SEW_DEBUG=1" in message


def test_an_interrupt_while_the_command_is_imported_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, "-m", "sewcli", "--version"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "sew: interrupted\n")


@pytest.mark.parametrize(("error", "at_once"), [(ClosedPipe, True), (ValueError, False)])
def test_a_closed_pipe_waits_for_no_batch(
    error: type[Exception], at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a lane the network is at a chunk that nobody will read."""
    import sewcli.pipeline.ahead  # noqa: F401 - a run has begun

    def ended() -> None:
        end = SystemExit(0)
        end.__context__ = error()
        raise end

    codes: list[int] = []
    over = threading.Event()
    lane = threading.Thread(target=over.wait, name="sew-lane_0", daemon=True)
    monkeypatch.setattr(app, "main", ended)
    monkeypatch.setattr(os, "_exit", codes.append)
    for name in ("while_importing", "at_the_end"):
        monkeypatch.setattr(garbage, name, lambda: None)
    # after which no thread of this process could make another
    monkeypatch.setattr(temporary, "remove_all", lambda: None)
    lane.start()
    with contextlib.suppress(SystemExit):
        app.command()
    over.set()
    lane.join()
    assert codes == ([0] if at_once else [])

"""What a run that is ended early leaves: no process, no temporary file, the exit code that tells how."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import write_babble
from runs import WAIT, Run, await_end

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
needs_beam = pytest.mark.skipif(sys.version_info >= (3, 13), reason="no pyctcdecode for this Python")


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Path]:
    for i in range(30):
        write_babble(tmp_path / "many" / f"{i:02}.wav", 2.0 + i / 20, seed=i)
    return tmp_path / "many"


BEAM = ("--decoder", "beam", "--beam-width", "60", "--decode-workers", "2", "--read-workers", "0")
READING = ("--read-workers", "2", "--batch-seconds", "0")


@pytest.fixture(
    params=[pytest.param(BEAM, marks=needs_beam, id="beam search"), pytest.param(READING, id="reading")]
)
def endless(ctc: Path, many: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    """A run with two processes beside it that cannot end: standard input never does."""
    run = Run(tmp_path, many, "-", "-m", ctc, "-f", "json", *request.param)
    yield run
    run.process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_signals_leave_no_process_and_no_file(endless: Run, number: signal.Signals) -> None:
    for _ in range(2):
        assert endless.line().startswith(b"{")
    workers = endless.children()
    assert len(workers) == 2
    endless.process.send_signal(number)
    code, err = endless.end()
    await_end(workers)
    if number == signal.SIGKILL:
        assert code == -number
    else:
        assert code == 130
        assert re.fullmatch(rb"sew: interrupted: \d+ inputs? done\n", err)
        assert list(endless.temporary.iterdir()) == []


@pytest.mark.parametrize(
    "options", [pytest.param(BEAM, marks=needs_beam), READING], ids=["beam search", "reading"]
)
def test_a_closed_pipe_leaves_no_process_and_no_file(
    ctc: Path, many: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    run = Run(tmp_path, *(20 * [many]), "-m", ctc, "-f", "json", *options)
    assert run.line().startswith(b"{")
    workers = run.children()
    assert run.process.stdout is not None
    run.process.stdout.close()
    code, err = run.end()
    await_end(workers)
    assert (code, err, len(workers)) == (0, b"", 2)
    assert list(run.temporary.iterdir()) == []


def test_processes_that_are_killed_cost_their_recordings_alone(endless: Run) -> None:
    records = [endless.line()]
    workers = endless.children()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    records += [endless.line() for _ in range(29)]
    assert not set(workers) & set(endless.children())
    assert endless.process.stdin is not None
    endless.process.stdin.close()
    assert b'"-"' in endless.line()  # standard input was empty
    code, err = endless.end()
    failed = [json.loads(record)["path"] for record in records if b'"worker_died"' in record]
    assert len(failed) <= 2
    assert code == 3
    assert err.count(b"SIGKILL") == len(failed)
    assert all(os.fsencode(path) in err for path in failed)
    assert all(b".wav" in record for record in records)
    assert list(endless.temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_copy_of_standard_input_goes_while_a_thread_still_fills_it(
    ctc: Path, many: Path, tmp_path: Path, number: signal.Signals
) -> None:
    run = Run(tmp_path, many / "00.wav", "-", "-m", ctc)
    assert run.line()
    assert run.process.stdin is not None
    run.process.stdin.write((many / "01.wav").read_bytes()[:4000])
    run.process.stdin.flush()
    latest = time.monotonic() + WAIT
    while not list(run.temporary.rglob("audio")) and time.monotonic() < latest:
        time.sleep(0.02)
    assert list(run.temporary.rglob("audio"))
    run.process.send_signal(number)
    # its standard input is still open
    assert run.process.wait(WAIT) == 130
    # the first is counted when it is written, a moment after it has been read here
    assert re.fullmatch(rb"sew: interrupted: [01] of 2 inputs done\n", run.end()[1])
    assert list(run.temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_the_model_is_loaded_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """Where an exception would be taken for a damaged model."""
    script = (
        "import os, sys, sewcli.acoustic.load as load\n"
        "def interrupted(*_, **__):\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    raise ValueError('not reached')\n"
        "load.load_model = interrupted\n"
        "sys.argv[1:] = ['transcribe', 'a.wav']\n"
        "from sewcli.__main__ import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        timeout=WAIT,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"sew: interrupted\n")

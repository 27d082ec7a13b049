"""What becomes of output that its stream does not take, in whole or at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from sewcli.cli.streams import write_message, write_stdout

needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
buffered = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


def environment(unbuffered: str, temporary: Path) -> dict[str, str]:
    names = {name: value for name, value in os.environ.items() if not name.startswith("SEW_")}
    return names | {"PYTHONUNBUFFERED": unbuffered, "TMPDIR": str(temporary)}


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes")
@pytest.mark.parametrize("buffering", [0, -1])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_pipe_that_takes_little_at_a_time_gets_all(
    name: str, buffering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not block, as a program may have left it that was its reader before."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    content = os.urandom(50_000).hex().encode() * 20
    got = bytearray()

    def read() -> None:
        while block := os.read(reading, 30_000):
            got.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(writing, "wb", buffering=buffering) as stream:
        monkeypatch.setattr(sys, name, SimpleNamespace(buffer=stream, flush=stream.flush))
        if name == "stdout":
            write_stdout(content)
        else:
            write_message(content.decode())
        monkeypatch.undo()
    reader.join()
    os.close(reading)
    assert bytes(got) == (content if name == "stdout" else b"sew: " + content + b"\n")


@needs_posix
def test_an_input_that_a_parent_left_to_return_at_once_is_read_to_its_end(ctc: Path, audio: Path) -> None:
    """As a pipe with O_NONBLOCK, which looks like one that has ended while nothing is in it."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    command = [sys.executable, "-m", "sewcli", "transcribe", "--files-from", "-", "-m", ctc, "-f", "json"]
    process = subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE, text=True)
    os.close(read)
    assert process.stdout is not None
    os.write(write, f"{audio / 'a.wav'}\n".encode())
    first = process.stdout.readline()
    os.write(write, f"{audio / 'b.wav'}\n".encode())
    os.close(write)
    paths = [json.loads(line)["path"] for line in (first, *process.stdout)]
    assert paths == [str(audio / "a.wav"), str(audio / "b.wav")]
    assert process.wait(60) == 0


@needs_full
@buffered
@pytest.mark.parametrize("given", ["models list", "transcribe --dry-run {audio}"])
def test_full_disk_behind_standard_output_is_one_line_and_exit_1(
    given: str, unbuffered: str, audio: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "sewcli", *given.format(audio=audio).split()]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(unbuffered, tmp_path),
            text=True,
            check=False,
        )
    assert done.stderr == "sew: cannot write to standard output: No space left on device\n"
    assert done.returncode == 1


@needs_full
@buffered
@pytest.mark.slow
def test_a_full_disk_while_a_thread_reads_leaves_no_temporary_file(
    unbuffered: str, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    """Standard input is open to the end of the run, and its copy is still filled."""
    command = [sys.executable, "-m", "sewcli", "transcribe", audio / "a.wav", "-", "-m", ctc]
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(unbuffered, tmp_path),
            text=True,
        )
    assert process.stdin is not None
    assert process.stderr is not None
    assert process.wait(120) == 1
    assert process.stderr.read() == "sew: cannot write to standard output: No space left on device\n"
    process.stdin.close()
    process.stderr.close()
    assert list(tmp_path.iterdir()) == []


@buffered
@pytest.mark.parametrize(
    ("given", "code"), [("--dry-run gone.wav", 4), ("{audio}/b.wav gone.wav -m {ctc} -v", 3)]
)
@pytest.mark.slow
def test_messages_that_nobody_reads_change_no_exit_code(
    given: str, code: int, unbuffered: str, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "sewcli", "transcribe", *given.format(audio=audio, ctc=ctc).split()]
    done = subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=writing,
        env=environment(unbuffered, tmp_path),
        check=False,
    )
    os.close(writing)
    assert done.returncode == code

"""Runs of `sew` in processes of their own, which tests end, and what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sewcli.cli.output.journal import JOURNAL, LOCK

#: seconds that a run may take to end
WAIT = 90.0


class Run:
    """`sew transcribe` in a process whose temporary files go to a folder of its own."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        names = {name: value for name, value in os.environ.items() if not name.startswith("SEW_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sewcli", "transcribe", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=names | {"TMPDIR": str(self.temporary)},
            # a shell has its background jobs ignore SIGINT, and so would their children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
        )

    def children(self) -> list[int]:
        """The processes it has started."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except OSError:
                    continue
                if parent == self.process.pid:
                    found.append(int(entry.name))
        return found

    def line(self) -> bytes:
        """The next line of its output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> tuple[int, bytes]:
        """Close its streams and wait for it to end; its exit code and what it wrote to standard error."""
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        assert self.process.stderr is not None
        err = self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait(WAIT), err


def await_end(pids: list[int]) -> None:
    """Wait for processes that are to end by themselves."""
    latest = time.monotonic() + WAIT
    while alive := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < latest, f"still there: {alive}"
        time.sleep(0.02)


def start(*arguments: object, stdin: int | None = None) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEW_")}
    command = [sys.executable, "-m", "sewcli", "transcribe", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        env=environment,
        stdin=stdin,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509 - one thread
    )


def _heed_interrupts() -> None:
    """A shell has its background jobs ignore SIGINT, and so would their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_entries(process: subprocess.Popen[bytes], folder: Path, wanted: int) -> None:
    """Wait until the journal of a run has that many entries, or the run has ended."""
    file = folder / JOURNAL
    while process.poll() is None and not (file.exists() and file.read_bytes().count(b"\n") >= wanted):
        time.sleep(0.002)


def outputs(folder: Path) -> dict[str, bytes]:
    """Every output file and what is in it."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name not in (JOURNAL, LOCK))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def written_at(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in outputs(folder)}


def journal(folder: Path) -> list[str]:
    return [
        name for line in (folder / JOURNAL).read_text().splitlines() for name in json.loads(line)["files"]
    ]

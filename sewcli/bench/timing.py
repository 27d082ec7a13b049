"""Times of things that are compared: they take turns, so that what slows the machine slows them all."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from sewcli.errors import SewError


def medians(runs: Sequence[Callable[[], Any]], repeats: int, *, warm_up: bool = True) -> list[float]:
    """Median seconds of each run over `repeats` rounds, in each of which all take their turn.

    Those of a run in another process, whose way there does not count, are the float it returns.
    """
    taken: list[list[float]] = [[] for _ in runs]
    for turn in range(repeats + warm_up):
        for run, seconds in zip(runs, taken, strict=True):
            start = time.perf_counter()
            result = run()
            taken_here = time.perf_counter() - start
            if turn or not warm_up:
                seconds.append(result if isinstance(result, float) else taken_here)
    return [statistics.median(seconds) for seconds in taken]


#: runs a program and prints the most memory it had resident, as getrusage tells it
_LAUNCHER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
raise SystemExit(code)
"""


def run_process(arguments: Sequence[str]) -> bytes:
    """Run a program to its end; what it wrote to standard output.

    Raises:
        SewError: it failed; the message has the end of what it said.
    """
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else "no message"
        raise SewError(f"{' '.join(arguments[:4])} ... ended with {done.returncode}: {last}")
    return done.stdout


def peak_megabytes(arguments: Sequence[str]) -> float:
    """Most memory a program has resident until it ends, in MB (10^6 bytes).

    A child begins with the peak of the process that starts it, so a small process comes between.

    Raises:
        SewError: it failed, or this system (Windows) does not tell.
    """
    peak = int(run_process([sys.executable, "-S", "-c", _LAUNCHER, *arguments]))
    # bytes on macOS, units of 1024 bytes elsewhere
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def sew_command(*arguments: str) -> list[str]:
    """How to run this very `sew` in a process of its own."""
    return [sys.executable, "-m", "sewcli", *arguments]

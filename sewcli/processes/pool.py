"""Processes beside this one, for work that would hold the interpreter's lock.

A process is an interpreter of its own (no fork: torch has threads and a GPU its context) with a socket as its
standard input. It is out of reach of the terminal's Control-C and ends with this process; its side is
`sewcli.processes.serving`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from multiprocessing.connection import Pipe

from sewcli.errors import InputError, UsageError

_log = logging.getLogger("sewcli")

#: whether this system can have them
POSSIBLE = os.name == "posix"
_MAIN = "import sys; sys.path[:] = {path!r}; from {module} import main; main()"


class DeadWorkerError(InputError):
    """The process that was at work on an input has ended."""

    code = "worker_died"


class Process:
    """One process and the socket it listens to.

    Args:
        module: whose `main` it runs.
        environment: variables that are others than those of this process.

    Attributes:
        pid: of the process.
        connection: to it.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self.connection, theirs = Pipe()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _MAIN.format(path=sys.path, module=module)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    process_group=0,
                    env={**os.environ, **environment},
                )
            except BaseException:
                self.connection.close()
                raise
        self.pid = self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is no more."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it at once; whoever waits for its answer is told."""
        self._process.kill()

    def end(self) -> str:
        """End it at once and give everything back; how it ended, for messages."""
        self.connection.close()
        self._process.kill()
        code = self._process.wait()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Processes:
    """Processes for one kind of work, each started when all others are at it. To be closed after use.

    Args:
        count: of processes at the most.
        module: whose `main` they run.
        does: what they do with an input, for messages.
        option: that says how many there are.
        environment: see `Process`.
    """

    def __init__(
        self, count: int, module: str, *, does: str, option: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.count = count
        self._does, self._option = does, option
        self._new = partial(Process, module, environment or {})
        #: those at rest, the last one to work on top; None is one to start
        self._resting: queue.LifoQueue[Process | None] = queue.LifoQueue()
        for _ in range(count):
            self._resting.put(None)
        self._lock = threading.Lock()
        self._started: set[Process] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """Of the processes that have been started and are in use."""
        with self._lock:
            return [process.pid for process in self._started]

    @contextlib.contextmanager
    def one(self) -> Iterator[Process]:
        """A process that rests, waiting for one; for many threads. One that has ended at rest is replaced.

        It must be at rest again at the end; with any exception it ends, and another may be started.

        Raises:
            DeadWorkerError: for an EOFError or OSError, which its connection gives when it has ended.
            InputError: none can be started.
        """
        process = self._resting.get()
        try:
            if process is not None and process.has_ended:
                _log.debug("a process at rest has ended (%s); another is started", self._discard(process))
                process = None
            process = process or self._start()
            try:
                yield process
            except (EOFError, OSError) as error:
                raise DeadWorkerError(
                    f"the process that {self._does} it has ended ({process.end()})",
                    hint=f"where memory is short fewer {self._option} need less",
                ) from error
        except BaseException:
            self._drop(process)
            raise
        self._rest(process)

    def _start(self) -> Process:
        with self._lock:
            if self._closed:
                raise InputError("the run has ended", code="interrupted")
            try:
                process = self._new()
            except OSError as error:
                raise InputError(
                    f"no process can be started for it: {error.strerror}",
                    hint=f"{self._option} 0 needs none",
                    code="no_process",
                ) from error
            self._started.add(process)
        return process

    def _rest(self, process: Process) -> None:
        """Have a process wait for the next input."""
        with self._lock:
            if not self._closed:
                self._resting.put(process)
                return
        self._drop(process)

    def _drop(self, process: Process | None) -> None:
        """End a process, in whose place another one may be started."""
        if process is not None:
            self._discard(process)
        self._resting.put(None)

    def _discard(self, process: Process) -> str:
        """End a process that gets no more work; how it ended."""
        how = process.end()
        with self._lock:
            self._started.discard(process)
        return how

    def close(self) -> None:
        """End all processes at once; what is under way fails, in its threads."""
        with self._lock:
            self._closed = True
            for process in self._started:
                process.kill()
        resting = []
        with contextlib.suppress(queue.Empty):
            while True:
                resting.append(self._resting.get_nowait())
        # each leaves an empty place, which wakes a thread that waits, to fail
        for one in resting:
            self._drop(one)


def check_possible(what: str, option: str) -> None:
    """Refuse other processes where there can be none (UsageError)."""
    if not POSSIBLE:
        raise UsageError(f"{what} in other processes needs a POSIX system", hint=f"{option} 0")


def cores() -> int:
    """How many this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1

"""Beam search in processes beside this one, so that the network need not wait for it.

A process is an interpreter of its own (no fork: torch has threads) with a socket as its standard input. It is
given the open temporary file of the log-posteriors, not their values. It is out of reach of the terminal's
Control-C and ends with this process (`sewcli.decoding.search_worker`).
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
from multiprocessing.connection import Pipe
from multiprocessing.reduction import send_handle

from sewcli.decoding.frames import FrameFile
from sewcli.decoding.hypothesis import Hypothesis
from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.search import Setup
from sewcli.decoding.search_worker import Answer, Request
from sewcli.errors import InputError, UsageError

_log = logging.getLogger("sewcli")

#: processes that auto starts at the most
_MOST = 8
_HAS_THEM = os.name == "posix"
_MAIN = "import sys; sys.path[:] = {path!r}; from sewcli.decoding.search_worker import main; main()"


class DeadWorkerError(InputError):
    """The process that searched through a recording has ended."""


class _Worker:
    """One process and the socket it listens to."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN.format(path=sys.path)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                process_group=0,
            )
        self.pid = self._process.pid

    def prepare(self, setup: Setup) -> None:
        """Have it load what the search needs."""
        with contextlib.suppress(OSError):
            self._connection.send(Request(setup, 0))

    def search(self, setup: Setup, frames: FrameFile) -> Answer:
        """See `SearchWorkers.search`."""
        try:
            self._connection.send(Request(setup, len(frames)))
            send_handle(self._connection, frames.fileno(), self.pid)
            answer: Answer = self._connection.recv()
        except (EOFError, OSError) as error:
            code = self.end()
            reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise DeadWorkerError(
                f"the process that decoded it has ended ({reason})",
                hint="where memory is short fewer --decode-workers need less",
                code="worker_died",
            ) from error
        return answer

    def kill(self) -> None:
        """End it at once; whoever waits for its answer is told."""
        self._process.kill()

    def end(self) -> int:
        """Wait for it to end, at once, and give everything back; its exit code."""
        self._connection.close()
        self._process.kill()
        return self._process.wait()


class SearchWorkers:
    """Processes that search, each started when all others are at work.

    Each loads the language model for itself, once. To be closed after use.

    Args:
        count: of processes at the most.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        #: those at rest, the last one to work on top; None is one to start
        self._resting: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(count):
            self._resting.put(None)
        self._lock = threading.Lock()
        self._started: set[_Worker] = set()
        self._closed = False
        self._told: set[str] = set()

    @property
    def pids(self) -> list[int]:
        """Of the processes that have been started and are in use."""
        with self._lock:
            return [worker.pid for worker in self._started]

    def prepare(self, setup: Setup) -> None:
        """Have a process load what the first search will need."""
        worker = self._resting.get()
        if worker is None:
            worker = self._start()
            worker.prepare(setup)
        self._rest(worker)

    def search(self, setup: Setup, frames: FrameFile) -> Hypothesis:
        """Search through the frames of a recording, waiting for a process that rests; for many threads.

        Args:
            setup: to search with.
            frames: log-posteriors, one or more.

        Raises:
            DeadWorkerError: the process has ended; the next recording gets a new one.
            SewError: as `sewcli.decoding.beam.BeamSearch`.
        """
        worker = self._resting.get()
        try:
            worker = worker or self._start()
            answer = worker.search(setup, frames)
        except BaseException:
            self._drop(worker)
            raise
        self._rest(worker)
        self._tell(answer.messages)
        if isinstance(answer.found, Exception):
            raise answer.found
        return answer.found

    def _start(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise InputError("the run has ended", code="interrupted")
            worker = _Worker()
            self._started.add(worker)
        return worker

    def _rest(self, worker: _Worker) -> None:
        """Have a process wait for the next search."""
        with self._lock:
            if not self._closed:
                self._resting.put(worker)
                return
        self._drop(worker)

    def _drop(self, worker: _Worker | None) -> None:
        """End a process, in whose place another one may be started."""
        if worker is not None:
            worker.end()
            with self._lock:
                self._started.discard(worker)
        self._resting.put(None)

    def _tell(self, messages: tuple[tuple[int, str], ...]) -> None:
        """Tell what the processes have to say, each thing once."""
        with self._lock:
            new = dict.fromkeys(one for one in messages if one[1] not in self._told)
            self._told |= {text for _, text in new}
        for level, text in new:
            _log.log(level, "%s", text)

    def close(self) -> None:
        """End all processes at once; searches under way fail, in their threads."""
        with self._lock:
            self._closed = True
            for worker in self._started:
                worker.kill()
        resting = []
        with contextlib.suppress(queue.Empty):
            while True:
                resting.append(self._resting.get_nowait())
        # each leaves an empty place, which wakes a search that waits, to fail
        for one in resting:
            self._drop(one)


def search_workers(wanted: int | None, options: DecodingOptions) -> SearchWorkers | None:
    """The processes to search in; None for this one.

    Args:
        wanted: how many; None for half of the cores that this process may run on, 8 at the most, and for no
            other process on a single core.
        options: of the decoder; only beam search needs them.

    Raises:
        UsageError: this system cannot have them.
    """
    if not options.is_beam:
        return None
    if wanted and not _HAS_THEM:
        raise UsageError("beam search in other processes needs a POSIX system", hint="--decode-workers 0")
    if wanted is None:
        wanted = min(_MOST, _cores() // 2) if _HAS_THEM else 0
    return SearchWorkers(wanted) if wanted else None


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1

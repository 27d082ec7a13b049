"""Beam search in processes beside this one, so that the network need not wait for it.

A process (`sewcli.processes.pool`) is given the open temporary file of the log-posteriors, not their values.
"""

from __future__ import annotations

import contextlib
import threading

from sewcli.decoding.frames import FrameFile
from sewcli.decoding.hypothesis import Hypothesis
from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.search import Setup
from sewcli.decoding.search_worker import Answer, Request
from sewcli.processes import pool
from sewcli.processes.open_files import send_file
from sewcli.processes.sending import send
from sewcli.processes.serving import tell

#: processes that auto starts at the most
_MOST = 8
_OPTION = "--decode-workers"


class SearchWorkers:
    """Processes that search, each started when all others are at work.

    Each loads the language model for itself, once. To be closed after use.

    Args:
        count: of processes at the most.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._processes = pool.Processes(
            count, "sewcli.decoding.search_worker", does="decoded", option=_OPTION
        )
        self._lock = threading.Lock()
        self._told: set[tuple[int, str]] = set()

    @property
    def pids(self) -> list[int]:
        """Of the processes that have been started and are in use."""
        return self._processes.pids

    def prepare(self, setup: Setup) -> None:
        """Have a process load what the first search will need."""
        with self._processes.one() as process, contextlib.suppress(OSError):
            send(process.connection, Request(setup, 0))

    def search(self, setup: Setup, frames: FrameFile) -> Hypothesis:
        """Search through the frames of a recording, waiting for a process that rests; for many threads.

        Args:
            setup: to search with.
            frames: log-posteriors, one or more.

        Raises:
            DeadWorkerError: the process has ended; the next recording gets a new one.
            InputError: there is no room for the last frames.
            SewError: as `sewcli.decoding.beam.BeamSearch`.
        """
        file = frames.fileno()
        with self._processes.one() as process:
            send(process.connection, Request(setup, len(frames)))
            send_file(process.connection, file)
            answer: Answer = process.connection.recv()
        with self._lock:  # each process says the same of a language model
            new = [one for one in answer.messages if one not in self._told]
            self._told.update(new)
        tell(tuple(new))
        if isinstance(answer.found, Exception):
            raise answer.found
        return answer.found

    def close(self) -> None:
        """End all processes at once; searches under way fail, in their threads."""
        self._processes.close()


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
    if wanted:
        pool.check_possible("beam search", _OPTION)
    if wanted is None:
        wanted = min(_MOST, pool.cores() // 2) if pool.POSSIBLE else 0
    return SearchWorkers(wanted) if wanted else None

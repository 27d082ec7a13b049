"""Decoding of audio in processes beside this one, so that a GPU need not wait for it.

The threads that open recordings (`sewcli.pipeline.run`) share the interpreter's lock. With processes
(`sewcli.processes.pool`) they only wait: a process decodes a whole recording, and hands over the open file of
its samples (`sewcli.reading.samples`).
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Callable
from dataclasses import replace

from sewcli.audio import shown
from sewcli.audio.arrays import ArraySource
from sewcli.audio.checks import cannot_open
from sewcli.audio.streams import StreamSource
from sewcli.errors import AudioError, InputError, UsageError
from sewcli.inputs.source import Source
from sewcli.processes import pool
from sewcli.processes.open_files import received_file
from sewcli.processes.sending import send
from sewcli.processes.serving import tell
from sewcli.reading.kept import How, Measures, kept
from sewcli.reading.read_worker import Answer, Request
from sewcli.reading.samples import Samples

#: processes that auto starts at the most, and the inputs that it reads in threads before
_MOST = 16
_FEW = 8
_OPTION = "--read-workers"
#: each computes in one thread, so that they do not take the cores from each other; the moments are the same
_ALONE = {"OPENBLAS_NUM_THREADS": "1"}


class ReadWorkers:
    """Processes that decode, each started when all others are at work. To be closed after use.

    Args:
        count: of processes at the most.
        spared: so many files are read in this process first, in the thread that asks.
    """

    def __init__(self, count: int, spared: int = 0) -> None:
        self.count = count
        self._spared = spared
        self._asked = itertools.count()
        self._processes = pool.Processes(
            count, "sewcli.reading.read_worker", does="read", option=_OPTION, environment=_ALONE
        )

    @property
    def pids(self) -> list[int]:
        """Of the processes that have been started and are in use."""
        return self._processes.pids

    def kept(
        self, source: Source, how: How, cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[Samples, Measures]:
        """As `sewcli.reading.kept.kept`, waiting for a process that rests; for many threads.

        What is no regular file (standard input, pipes, arrays, addresses) is read in this process.

        Raises:
            DeadWorkerError: the process has ended; the next file gets a new one.
            AudioError: as there.
        """
        request = _request(source, how)
        if request is not None and next(self._asked) >= self._spared:
            found = self._there(request)
            if isinstance(found, Exception):
                raise found
            if found is not None:
                return found
        return kept(source, how, cancelled)

    def _there(self, request: Request) -> tuple[Samples, Measures] | Exception | None:
        """What a process finds; see `Answer`."""
        name = shown(request.source)
        file = None
        try:
            with self._processes.one() as process:
                send(process.connection, request)
                answer: Answer = process.connection.recv()
                if answer.samples:
                    file = received_file(process.connection)
        except InputError as error:
            raise type(error)(f"{name}: {error.message}", hint=error.hint, code=error.code) from error
        tell(answer.messages)
        if not isinstance(answer.found, Measures):
            return answer.found
        if file is None:
            reason = f"{name}: cannot be read: {os.strerror(errno.EMFILE)}"
            raise AudioError(reason, hint="raise the limit: `ulimit -n`", code="unreadable")
        try:
            return Samples.received(file, answer.samples), answer.found
        except OSError as error:
            raise cannot_open(name, error) from error

    def close(self) -> None:
        """End all processes at once; what is being read fails, in its threads."""
        self._processes.close()


def _request(source: Source, how: How) -> Request | None:
    """The source as a process can read it; None where it cannot, or where there is nothing to read."""
    if source.error is not None or source.is_stdin or source.is_url:
        return None
    if isinstance(source, ArraySource | StreamSource):
        return None
    try:
        status = source.file.stat()
        # the working directory may be another one since the process was started
        there = replace(source, file=source.file.absolute())
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Request(there, (status.st_dev, status.st_ino), how)


def check_read_workers(wanted: int | None) -> None:
    """Refuse a number of processes that there cannot be (UsageError)."""
    if wanted is None:
        return
    if not isinstance(wanted, int) or wanted < 0:
        raise UsageError(f"read_workers={wanted!r}", hint="a number of processes, 0 for none")
    if wanted:
        pool.check_possible("reading", _OPTION)


def read_workers(wanted: int | None, device: str) -> ReadWorkers | None:
    """The processes to decode in; None for threads of this one.

    Args:
        wanted: how many; None for none beside a CPU, and beside a GPU for all but one of the cores that this
            process may run on, 16 at the most, from the ninth file on.
        device: of the network.
    """
    if wanted is not None:
        return ReadWorkers(wanted) if wanted else None
    if device == "cpu" or not pool.POSSIBLE:
        return None
    count = min(_MOST, pool.cores() - 1)
    return ReadWorkers(count, spared=_FEW) if count else None

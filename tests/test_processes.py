"""Processes beside this one."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Pipe
from pathlib import Path

import pytest

from sewcli.errors import InputError
from sewcli.processes.pool import DeadWorkerError, Processes
from sewcli.processes.sending import send
from sewcli.processes.serving import portable, tell

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")

MODULE = """
import os, subprocess
from sewcli.processes.serving import Messages, serve

messages = Messages()

def answers(request):
    import logging
    if request == "end":
        os._exit(3)
    if request == "child":
        yield subprocess.Popen(["sleep", "600"], process_group=0).pid
        os._exit(4)
    logging.getLogger("sewcli").warning("%s is odd", request)
    for number in range(request):
        yield number
    yield messages.taken()

def main():
    serve(answers)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "at_work.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "at_work"


@pytest.fixture
def pool(module: str) -> Processes:
    return Processes(2, module, does="counted", option="--counters")


def asked(pool: Processes, request: object, answers: int) -> list[object]:
    with pool.one() as process:
        process.connection.send(request)
        return [process.connection.recv() for _ in range(answers)]


def test_a_request_has_any_number_of_answers_and_messages_come_with_them(
    pool: Processes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(pool, 3, 4) == [0, 1, 2, ((30, "3 is odd"),)]
    assert asked(pool, 1, 2) == [0, ((30, "1 is odd"),)]
    assert len(pool.pids) == 1
    monkeypatch.setattr("sewcli.processes.serving._log.propagate", True)
    tell(((30, "1 is odd"), (30, "3 is odd")))
    assert caplog.messages == ["1 is odd", "3 is odd"]
    pool.close()


def test_all_are_given_back(pool: Processes) -> None:
    with pool.one() as first, pool.one() as second:
        pids = [first.pid, second.pid]
        assert sorted(pool.pids) == sorted(pids)
    pool.close()
    assert pool.pids == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_one_that_ends_is_told_and_replaced(pool: Processes) -> None:
    assert asked(pool, 0, 1)
    [pid] = pool.pids
    with pytest.raises(DeadWorkerError, match=r"that counted it has ended \(exit code 3\).*fewer --counters"):
        asked(pool, "end", 1)
    assert asked(pool, 0, 1) == [((30, "0 is odd"),)]
    assert pid not in pool.pids
    pool.close()


def test_one_that_ends_at_rest_costs_nothing(pool: Processes) -> None:
    assert asked(pool, 0, 1)
    [pid] = pool.pids
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert asked(pool, 1, 2) == [0, ((30, "1 is odd"),)]
    assert pool.pids != [pid]
    assert len(pool.pids) == 1
    pool.close()


def test_a_program_started_by_one_does_not_keep_its_socket(pool: Processes) -> None:
    pids: queue.SimpleQueue[int] = queue.SimpleQueue()

    def ask() -> None:
        with pool.one() as process:
            process.connection.send("child")
            pids.put(process.connection.recv())
            with pytest.raises(EOFError):
                process.connection.recv()

    thread = threading.Thread(target=ask)
    thread.start()
    child = pids.get(timeout=60)
    try:
        thread.join(60)
        assert not thread.is_alive()
    finally:
        os.kill(child, 9)
    pool.close()


def test_who_waits_for_one_is_told_of_the_end(pool: Processes) -> None:
    failures: queue.SimpleQueue[Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            asked(pool, 0, 1)
        except InputError as error:
            failures.put(error)

    with pool.one(), pool.one():
        thread = threading.Thread(target=ask)
        thread.start()
        pool.close()
    thread.join(60)
    assert failures.get_nowait().code == "interrupted"  # type: ignore[attr-defined]


def test_what_cannot_be_started_fails_the_input(pool: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    for _ in range(3):
        with pytest.raises(InputError, match="no process can be started for it: No such file"):
            asked(pool, 0, 1)
    pool.close()


class AwkwardError(Exception):
    def __init__(self, one: int, other: int) -> None:
        super().__init__(one + other)


def test_errors_are_sent_in_a_form_that_can_be_raised() -> None:
    plain = ValueError("as it is")
    assert portable(plain, "count") is plain
    assert portable(MemoryError(), "count").code == "no_memory"  # type: ignore[attr-defined]
    awkward = portable(AwkwardError(1, 2), "count")
    assert (type(awkward), str(awkward)) == (RuntimeError, "AwkwardError: 3")


def test_what_cannot_be_sent_leaves_no_view_of_a_buffer_in_its_error() -> None:
    """Python 3.12 may crash where a view of an io.BytesIO is in a cycle, and errors often are."""
    ours, theirs = Pipe()
    with ours, theirs:
        send(ours, {"a": [1, 2]})
        assert theirs.recv() == {"a": [1, 2]}
        theirs.close()
        with pytest.raises(OSError) as caught:  # noqa: PT011 - of several kinds
            send(ours, "x" * 10_000)
    held = [value for entry in caught.traceback for value in entry.frame.f_locals.values()]
    assert all(isinstance(value.obj, bytes) for value in held if isinstance(value, memoryview))

"""Bytes on standard output, and lines on standard error."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import BinaryIO, TextIO, cast

from sewcli.errors import SewError


class ClosedPipe(Exception):  # noqa: N818 - nothing went wrong
    """The reader of standard output has gone away.

    Not an OSError, of which Typer would make exit code 1.
    """


def on_terminal() -> bool:
    """Whether standard output is a terminal; one that is closed is none."""
    return sys.stdout is not None and sys.stdout.isatty()


def write_stdout(content: bytes) -> None:
    """Write and flush bytes to standard output (ClosedPipe, or SewError where that cannot be)."""
    if sys.stdout is None:
        raise SewError("standard output is closed", hint="redirect it, or add -o DIR", code="output")
    try:
        _write_all(sys.stdout.buffer, content)
    except BrokenPipeError as error:
        raise ClosedPipe from error
    except OSError as error:
        raise SewError(f"cannot write to standard output: {error.strerror}", code="output") from error


def write_lines(*lines: str) -> None:
    """Write text to standard output, as `write_stdout` does; the bytes of a path in it are those on disk."""
    write_stdout("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


def write_message(message: str) -> None:
    """One line on standard error; the bytes of a path in it are those on disk."""
    text = f"sew: {message}".replace("\n", " ")
    try:
        line = text.encode("utf-8", "surrogateescape") + b"\n"
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        line = text.encode("utf-8", "backslashreplace") + b"\n"
    # without a reader the message is lost, and the run goes on: its exit code tells
    with suppress(OSError, AttributeError, ValueError):
        sys.stderr.flush()
        _write_all(sys.stderr.buffer, line)


def flush_at_the_end(stream: TextIO | None) -> None:
    """Flush a stream once more; what it does not take is lost, and its error changes no exit code."""
    if stream is None:
        return
    with suppress(ValueError):  # closed
        try:
            stream.flush()
        except OSError:
            discard(stream)


def discard(stream: TextIO) -> None:
    """Have a stream lead nowhere: the interpreter flushes what is left in it when it ends, and would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _write_all(stream: BinaryIO, content: bytes) -> None:
    """Write and flush bytes, in pieces where no more is taken at once (OSError).

    A stream without a buffer (PYTHONUNBUFFERED) may take a part of them, and one that does not block nothing.
    """
    left = memoryview(content)
    while left:
        try:
            taken = cast("int | None", stream.write(left)) or 0
        except BlockingIOError as full:
            taken = full.characters_written
        if not taken:
            select.select([], [stream], [])
        left = left[taken:]
    while not _is_flushed(stream):
        select.select([], [stream], [])


def _is_flushed(stream: BinaryIO) -> bool:
    try:
        stream.flush()
    except BlockingIOError:
        return False
    return True

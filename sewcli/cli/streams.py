"""Bytes on standard output, and lines on standard error."""

from __future__ import annotations

import sys
from contextlib import suppress

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
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
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
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()

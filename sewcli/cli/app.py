"""The command `sew`: its subcommands, and what every one of them does with errors and exit codes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import typer

from sewcli import __version__
from sewcli.cli import garbage
from sewcli.cli.options.defaults import set_defaults
from sewcli.cli.parser import COMPLETION, CONTEXT, EXIT_CODES, Commands
from sewcli.cli.streams import ClosedPipe, discard, flush_at_the_end, write_message
from sewcli.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_UNEXPECTED, EXIT_USAGE, SewError, UsageError
from sewcli.settings import is_true
from sewcli.signals import ending

app = typer.Typer(
    name="sew",
    cls=Commands,
    help="Speech transcription and keyword spotting with SEW and SEW-D models.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    # `sew completion` prints the script; only what that asks for needs more of Typer
    add_completion=COMPLETION in os.environ,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=CONTEXT,
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"sew {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(  # noqa: ARG001 - its callback ends the run
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Speech transcription and keyword spotting with SEW and SEW-D models."""
    if "--help" not in sys.argv:  # which a bad file must not keep from anyone
        set_defaults(context)


def command() -> NoReturn:
    """`main`, as a process of its own: it begins fast and ends at once, whatever its threads do.

    A thread that waits for standard input cannot be ended, and one that is in compiled code when the
    interpreter closes down would abort the process.
    """
    garbage.while_importing()
    try:
        main()
    except SystemExit as end:
        garbage.at_the_end()
        for stream in (sys.stdout, sys.stderr):
            flush_at_the_end(stream)
        unwanted = end.code == EXIT_INTERRUPTED or isinstance(end.__context__, ClosedPipe)
        if not _threads_left(unwanted=unwanted):
            raise
        from sewcli.temporary import remove_all

        remove_all()  # also those that a thread is still filling
        os._exit(end.code if isinstance(end.code, int) else EXIT_UNEXPECTED)


def _threads_left(*, unwanted: bool) -> bool:
    """Whether threads are at work that nothing waits for.

    Those are the ones that read ahead, and those of the network where nobody wants what it would give: after
    an interrupt, or where standard output is closed.
    """
    if "sewcli.pipeline.ahead" not in sys.modules:
        return False
    from sewcli.pipeline.ahead import THREADS

    names = "sew-" if unwanted else THREADS
    return any(thread.name.startswith(names) for thread in threading.enumerate())


def main() -> NoReturn:
    """Run the command line and exit with the code that tells how it went."""
    _end_on_termination()
    if sys.stderr is None:  # closed: what would be told is lost, and the exit code tells
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end of the process
    debug = "--debug" in sys.argv[1:] or is_true(os.environ.get("SEW_DEBUG", ""))
    try:
        _refuse_empty(sys.argv[1:])
        _check_working_directory()
        app(prog_name="sew")
    except ClosedPipe:
        discard(sys.stdout)  # the reader has what it wanted
        sys.exit(EXIT_OK)
    except SewError as error:
        _fail(str(error), error.exit_code, debug=debug)
    except PermissionError as error:
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        _fail(
            f"{place}{error.strerror} (choose a place that is yours, or have its permissions changed)",
            EXIT_USAGE,
            debug=debug,
        )
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _fail("no space is left where the output goes", EXIT_UNEXPECTED, debug=debug)
        reason = str(error).strip().splitlines()
        _fail(
            f"unexpected error: {type(error).__name__}: {reason[0] if reason else ''} "
            "(run again with SEW_DEBUG=1 for the traceback)",
            EXIT_UNEXPECTED,
            debug=debug,
        )
    sys.exit(EXIT_OK)


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse options with an empty value, which for a path would mean the working directory (UsageError)."""
    for option, value in pairwise(arguments):
        if option.startswith("-") and option != "--" and not value:
            raise UsageError(f"{option} is an empty string", hint="look for a shell variable that is not set")


def _check_working_directory() -> None:
    """Refuse one that is deleted, where libraries fail in ways of their own (UsageError)."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working directory is gone", hint="cd to one that is there") from None


def _end_on_termination() -> None:
    """Let SIGTERM, and SIGHUP of a terminal that is closed, end a run as SIGINT does.

    What is written stays, temporary files go, exit code 130.
    """

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    for number in ending().keys() - {signal.SIGINT}:
        signal.signal(number, interrupt)


def _fail(message: str, code: int, *, debug: bool) -> NoReturn:
    """End with one line on standard error, after the traceback of the error in hand where asked."""
    if debug:
        traceback.print_exc()
    write_message(message)
    sys.exit(code)

"""The command `sew`: its subcommands, and what every one of them does with errors and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from typing import NoReturn

import typer

from sewcli import __version__
from sewcli.cli import (
    align,
    classify,
    config,
    decode,
    doctor,
    embed,
    evaluate,
    lm,
    models,
    schema,
    train,
    transcribe,
    tune_lm,
)
from sewcli.cli.console import write_message
from sewcli.cli.defaults import set_defaults
from sewcli.cli.output import ClosedPipe
from sewcli.errors import EXIT_OK, EXIT_UNEXPECTED, SewError

EXIT_CODES = (
    "Exit codes: 0 every input done, 1 unexpected error, 2 wrong usage, 3 some inputs failed, "
    "4 every input failed, 5 model not available or of the wrong kind, 6 device or memory, 130 interrupted."
)

app = typer.Typer(
    name="sew",
    help="Speech transcription and keyword spotting with SEW and SEW-D models.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help"]},
)
app.command("transcribe", epilog=EXIT_CODES)(transcribe.transcribe)
app.command("align", epilog=EXIT_CODES)(align.align)
app.command("decode", epilog=EXIT_CODES)(decode.decode)
app.command("classify", epilog=EXIT_CODES)(classify.classify)
app.command("embed", epilog=EXIT_CODES)(embed.embed)
app.command("evaluate", epilog=EXIT_CODES)(evaluate.evaluate)
app.command("tune-lm", epilog=EXIT_CODES)(tune_lm.tune_lm)
app.command("train", epilog=EXIT_CODES)(train.train)
app.add_typer(models.app, name="models")
app.add_typer(lm.app, name="lm")
app.add_typer(config.app, name="config")
app.command("schema")(schema.schema)
app.command("doctor")(doctor.doctor)


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


def main() -> NoReturn:
    """Run the command line and exit with the code that tells how it went."""
    _end_on_termination()
    debug = "--debug" in sys.argv[1:] or os.environ.get("SEW_DEBUG", "").lower() in ("1", "true", "yes", "on")
    try:
        app()
    except ClosedPipe:
        # the reader has what it wanted; keep the interpreter from flushing into the closed pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_OK)
    except SewError as error:
        _fail(str(error), error.exit_code, debug=debug)
    except Exception as error:
        reason = str(error).strip().splitlines()
        _fail(
            f"unexpected error: {type(error).__name__}: {reason[0] if reason else ''} "
            "(run again with --debug for the traceback)",
            EXIT_UNEXPECTED,
            debug=debug,
        )
    sys.exit(EXIT_OK)


def _end_on_termination() -> None:
    """Let SIGTERM end a run as SIGINT does: what is written stays, temporary files go, exit code 130."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


def _fail(message: str, code: int, *, debug: bool) -> NoReturn:
    """End with one line on standard error, after the traceback of the error in hand where asked."""
    if debug:
        traceback.print_exc()
    write_message(message)
    sys.exit(code)

"""`sew doctor`: what works here."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sewcli.cli.options.defaults import commands_with_settings
from sewcli.errors import EXIT_MODEL

if TYPE_CHECKING:
    from sewcli.doctor.check import Check


def doctor(
    context: typer.Context,
    form: Annotated[Literal["text", "json"], typer.Option("-f", "--format", help="Output format.")] = "text",
) -> None:
    """Try what sew needs on this machine, and say what to do for what does not work.

    Prints ok, missing (something that only some uses need) or broken, what was tried, what was found, and
    the remedy. Nothing is fetched. The exit code is 5 if something is broken.
    """
    from sewcli.cli.commands.columns import write_columns
    from sewcli.cli.options.variables import unknown_variables
    from sewcli.cli.streams import write_stdout
    from sewcli.doctor.examination import checks
    from sewcli.settings import read_settings
    from sewcli.writers.jsonl import SCHEMA_VERSION, dump

    commands = commands_with_settings(context.find_root().command)

    def check_settings() -> None:
        for setting in read_settings(commands):
            setting.check()

    done = list(checks(check_settings, unknown_variables(context)))
    ok = all(check.ok for check in done if check.needed)
    if form == "json":
        write_stdout(
            dump({"schema_version": SCHEMA_VERSION, "ok": ok, "checks": [asdict(one) for one in done]})
        )
    else:
        write_columns([[_state(check), check.name, check.detail, check.fix or "-"] for check in done])
    raise typer.Exit(0 if ok else EXIT_MODEL)


def _state(check: Check) -> str:
    if check.ok:
        return "ok"
    return "broken" if check.needed else "missing"

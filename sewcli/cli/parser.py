"""The commands of `sew`, each imported when it is called: `sew --help` imports none of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from sewcli.cli.options.defaults import plain
from sewcli.cli.streams import ClosedPipe, write_message
from sewcli.errors import EXIT_INTERRUPTED, DeviceError, ModelError, UsageError

EXIT_CODES = (
    "Exit codes: 0 every input done, 1 unexpected error or results that cannot be written, 2 wrong usage, "
    "3 some inputs failed, 4 every input failed, 5 model not available or of the wrong kind, "
    "6 device or memory, 130 interrupted."
)

#: the variable by which the script of `sew completion` asks for words
COMPLETION = "_SEW_COMPLETE"
#: commands, each in the module of its name, with their line in the help; tests hold it against their own
COMMANDS = {
    "transcribe": "Transcribe speech: one line of text, or one JSON object, for each input.",
    "align": "Align a known text with its recording: the times of words and characters.",
    "decode": "Decode saved logits again, without the network: another beam, language model or hotwords.",
    "classify": "Classify short clips: the best labels of each with their probabilities.",
    "embed": "Write hidden states, of every frame or their mean, from any model.",
    "evaluate": "Score a model on a manifest: error rates and CTC loss, or accuracy, and speed.",
    "tune-lm": "Find alpha, beta and beam width for a model and a language model.",
    "train": "Train or fine-tune a CTC or classification model and write it to DIR/model.",
    "models": "The models that -m knows, their aliases and their files.",
    "lm": "Language models.",
    "config": "Show the settings in force.",
    "schema": "Print the JSON Schema (draft 2020-12) of an output.",
    "bench": "Measure sew against transformers on this machine, with the same weights, taking turns.",
    "doctor": "Try what sew needs on this machine, and say what to do for what does not work.",
    "completion": "Print the completion script of a shell.",
}
#: --help alone asks for help, since -h is --no-path; its lines are as long as the code's
CONTEXT = {"help_option_names": ["--help"], "max_content_width": 110}


Function = TypeVar("Function", bound=Callable[..., Any])


class _Parsing:
    """What is printed while a command line is read, as the help is, may go to a pipe that closes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line (ClosedPipe where nobody reads what that prints)."""
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc, no-any-return]
        except BrokenPipeError as error:
            raise ClosedPipe from error
        except Exception as error:
            if hasattr(error, "message"):  # of click, which Typer has a copy of
                error.message = plain(error.message)
                if error.message == "No such option: -h":
                    error.message += " (--help shows the help)"
            raise


class Command(_Parsing, TyperCommand):
    """A command whose help has its options in groups, as plain text that pipes and pagers can take."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line: [INPUT]... for inputs that may be left out."""
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *map(in_usage, arguments)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; a file that looks like an option, as `*.wav` may, is told as such."""
        files = [arg for arg in args if arg.startswith("-") and len(arg) > 1 and os.path.lexists(arg)]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if files and hasattr(error, "message"):  # of click, which Typer has a copy of
                error.message += f" ({files[0]} is a file: put -- before the inputs, or write ./{files[0]})"
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command, after a line on each option and variable that was given for nothing."""
        from sewcli.cli.options.idle import idle_options, pass_over

        pass_over(ctx)
        if not ctx.params.get("quiet"):
            from sewcli.cli.options.variables import unknown_variables

            # `sew doctor` has them among its findings
            unknown = [] if ctx.info_name == "doctor" else map(str, unknown_variables(ctx))
            for line in (*idle_options(ctx), *unknown):
                write_message(line)
        try:
            return super().invoke(ctx)
        except (UsageError, ModelError, DeviceError) as error:
            from sewcli.cli.options.defaults import blamed

            # the hint too may tell to leave an option out
            for origin in blamed(ctx, f"{error.message} {error.hint or ''}"):
                error.hint = "; ".join(filter(None, (error.hint, origin)))
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group of options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                kind = "Options"
                if parameter.param_type_name == "argument":
                    kind, record = "Arguments", (in_usage(parameter), record[1])
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or kind, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def in_usage(argument: Any) -> str:
    """An argument as the usage line has it; the marks that Typer adds differ from version to version."""
    name = argument.metavar or argument.name.upper()
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs != 1 else "")


class _Group(_Parsing, TyperGroup):
    """A group below `sew`."""


class CommandGroup(typer.Typer):
    """A group of commands, such as those of `sew models`.

    Args:
        about: a line on the group.
    """

    def __init__(self, about: str) -> None:
        super().__init__(
            help=about,
            cls=_Group,
            no_args_is_help=True,
            rich_markup_mode=None,
            add_completion=False,
            context_settings=CONTEXT,
        )

    def command(  # type: ignore[override]
        self, name: str | None = None
    ) -> Callable[[Function], Function]:
        """Take a function as a command of the group."""
        return super().command(name, cls=Command, epilog=EXIT_CODES)


class Commands(_Parsing, TyperGroup):
    """The group of all commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Control-C ends it with a line on what is there of the run, and exit code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            if sys.stderr.isatty():  # the terminal has written ^C
                sys.stderr.write("\n")
            write_message(f"interrupted: {stop}" if str(stop) else "interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from stop

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as click has it
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as click has it
        """The command of that name, or None."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as click has it
        """Write the names with a line on each, none of them imported."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _load(name: str) -> Any:
    plain = name.replace("-", "_")
    module = import_module(f"sewcli.cli.commands.{plain}")
    if hasattr(module, "app"):
        return typer.main.get_command(module.app)
    alone = typer.Typer(rich_markup_mode=None, add_completion=False)
    alone.command(
        name,
        cls=Command,
        epilog=EXIT_CODES,
        context_settings=CONTEXT,
    )(getattr(module, plain))
    return typer.main.get_command(alone)

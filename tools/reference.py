"""Write docs/reference.md and docs/sew.1 from the commands: `python tools/reference.py`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from sewcli.cli.app import app
from sewcli.cli.parser import EXIT_CODES, in_usage

DOCS = Path(__file__).resolve().parent.parent / "docs"
NOTE = "Made from the commands by tools/reference.py; do not edit."


def main() -> None:
    """Write both files."""
    (DOCS / "reference.md").write_text(markdown(), encoding="utf-8")
    (DOCS / "sew.1").write_text(manual(), encoding="utf-8")


def commands() -> Iterator[tuple[str, Any, list[tuple[str, list[tuple[str, str]]]]]]:
    """Each command with its full name and its options by group, as pairs of option and help."""
    # what is set on this machine has no place in the page
    for name in [name for name in os.environ if name.startswith("SEW_")]:
        del os.environ[name]
    root = typer.main.get_command(app)
    yield from _below("sew", root, None)


def _below(name: str, command: Any, parent: Any) -> Iterator[Any]:
    context = typer.Context(command, info_name=name.rsplit(" ", maxsplit=1)[-1], parent=parent)
    yield name, command, _options(command, context)
    if hasattr(command, "list_commands"):
        for child in command.list_commands(context):
            yield from _below(f"{name} {child}", command.get_command(context, child), context)


def _options(command: Any, context: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
            group = getattr(parameter, "rich_help_panel", None) or kind
            # types in angle brackets are Typer's, and differ from version to version
            plain = re.sub(r" <[^>]+>", "", record[0])
            option = in_usage(parameter) if kind == "Arguments" else plain
            sections.setdefault(group, []).append((option, " ".join(record[1].split())))
    return list(sections.items())


def _paragraphs(command: Any) -> list[str]:
    text = (command.help or "").split("\f")[0]
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]


def _is_example(paragraph: str) -> bool:
    return re.match(r"sew [a-z]|source <|arecord ", paragraph) is not None


def markdown() -> str:
    """The reference page."""
    lines = ["# Reference", "", f"<!-- {NOTE} -->", "", EXIT_CODES, ""]
    for name, command, sections in commands():
        lines += [f"## {name}", ""]
        for paragraph in _paragraphs(command):
            lines += ["```", paragraph, "```", ""] if _is_example(paragraph) else [paragraph, ""]
        for title, records in sections:
            lines += [f"**{title}**", "", "| | |", "|---|---|"]
            lines += [f"| `{_cell(option)}` | {_cell(told)} |" for option, told in records] + [""]
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def manual() -> str:
    """The page for man."""
    lines = [f'.\\" {NOTE}', '.TH SEW 1 "" "sew" "User Commands"', ".SH NAME"]
    lines += ["sew \\- speech transcription and keyword spotting with SEW and SEW\\-D models"]
    lines += [".SH SYNOPSIS", ".B sew", "COMMAND [OPTIONS] [ARGS]...", ".SH COMMANDS"]
    for name, command, sections in commands():
        if name == "sew":
            continue
        lines += [f".SS {_roff(name)}"]
        for paragraph in _paragraphs(command):
            lines += [".PP", _roff(paragraph)]
        for title, records in sections:
            lines += [".PP", f".I {_roff(title)}"]
            for option, told in records:
                lines += [".TP", f".B {_roff(option)}", _roff(told)]
    lines += [".SH EXIT STATUS", _roff(EXIT_CODES)]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    main()

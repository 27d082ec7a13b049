"""JSON as sew reads it from files of its users."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

#: control characters, tabs and the ends of lines among them, and separators of lines and paragraphs
_BREAKING = ("Cc", "Zl", "Zp")


def one_line(text: str) -> str:
    """A name from such a file as it can stand in a line of output: spaces for control characters."""
    return "".join(" " if unicodedata.category(one) in _BREAKING else one for one in text)


def check_writable(text: object) -> None:
    """Refuse text with halves of surrogate pairs, which no file can hold (ValueError)."""
    if isinstance(text, str) and any("\ud800" <= one <= "\udfff" for one in text):
        raise ValueError(f"{text!r} is no Unicode text")


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON object, or holds text that could not be written again.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        json.dumps(content, ensure_ascii=False).encode()  # halves of surrogate pairs are no text
    except RecursionError as error:
        raise ValueError("it nests without an end") from error
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - of its content
    return content

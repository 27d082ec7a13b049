"""TOML as sew reads it from files of its users."""

from __future__ import annotations

import tomllib
from typing import Any


def parse_toml(raw: bytes) -> dict[str, Any]:
    """The content of a TOML file, which may begin with the mark that some editors put there.

    Raises:
        ValueError: it is not TOML.
    """
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it nests without an end") from error

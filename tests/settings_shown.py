"""What `sew config show` tells, and the file of the user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Sew


def shown(sew: Sew) -> dict[str, dict[str, Any]]:
    """What `sew config show` says, by key, or COMMAND.KEY where commands differ."""
    result = sew("config", "show", "-f", "json")
    assert result.code == 0, result.err
    [record] = result.records
    return {
        row["key"] if row["command"] is None else f"{row['command']}.{row['key']}": row
        for row in record["settings"]
    }


def facts(row: dict[str, Any]) -> tuple[Any, str, str | None]:
    return row["value"], row["source"], row["origin"]


def write_user(user_directory: Path, text: str) -> Path:
    user_directory.mkdir(parents=True, exist_ok=True)
    file = user_directory / "config.toml"
    file.write_text(text)
    return file

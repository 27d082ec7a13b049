"""What is wrong with a line that should be JSON, in words."""

from __future__ import annotations

import json


def reason_of(error: Exception) -> str:
    """What an error of `json` or of a reading of its values says, without a second number of the line."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg} at character {error.colno}"
    return str(error)

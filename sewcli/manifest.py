"""Manifests with references: what `sew train` learns from and `sew evaluate` scores against.

JSON Lines with `audio_filepath` (relative to the manifest), `text` or `label`, and optionally `set`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sewcli.errors import UsageError


@dataclass(frozen=True)
class Row:
    """One line of a manifest: where its audio is and what is said in it."""

    path: Path
    text: str | None = None
    label: str | None = None
    set: str = ""


def read_manifest(path: Path) -> list[Row]:
    """Rows of a manifest.

    Raises:
        UsageError: a line that is no JSON object or names no audio; the message says which line.
    """
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read the manifest {path}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields: dict[str, Any] = json.loads(line)
            audio = path.parent / fields["audio_filepath"]
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{path}:{number}: not a JSON object with the key audio_filepath",
                hint='write one line a clip: {"audio_filepath": "a.wav", "text": "HELLO"}',
            ) from error
        rows.append(Row(audio, fields.get("text"), fields.get("label"), fields.get("set", "")))
    if not rows:
        raise UsageError(f"the manifest {path} is empty")
    return rows

"""Manifests with references: what `sew train` learns from and `sew evaluate` scores against.

JSON Lines with `audio_filepath` (relative to the manifest), `text` or `label`, and optionally `set`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sewcli.errors import UsageError
from sewcli.sources import Source, manifest_source


@dataclass(frozen=True)
class Row:
    """One line of a manifest.

    Attributes:
        source: its audio, and the text that is said in it.
        label: the class of the clip, or None.
        set: the part of the data it belongs to, or "".
    """

    source: Source
    label: str | None = None
    set: str = ""

    @property
    def text(self) -> str | None:
        """What is said."""
        return self.source.text


def read_manifest(path: Path) -> list[Row]:
    """Rows of a manifest.

    Raises:
        UsageError: a line that is no JSON object or has a bad field; the message says which line.
    """
    rows = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the manifest {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(_row(json.loads(line), path.parent))
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{path}:{number}: not a row of a manifest: {error}",
                hint='write one line a clip: {"audio_filepath": "a.wav", "text": "HELLO"}',
            ) from error
    if not rows:
        raise UsageError(f"the manifest {path} is empty")
    return rows


def _row(fields: object, folder: Path) -> Row:
    if not isinstance(fields, dict):
        raise TypeError("not a JSON object")
    label, part = fields.get("label"), fields.get("set", "")
    if not isinstance(label, str | None) or not isinstance(part, str):
        raise TypeError('"label" or "set" is not a string')
    return Row(manifest_source(fields, folder), label, part)

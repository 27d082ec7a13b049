"""Output formats: a result in, bytes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sewcli.writers import jsonl, text


@dataclass(frozen=True)
class Format:
    """One output format.

    Attributes:
        write: a result to bytes; `with_path` asks for the path in front where it is optional.
        extension: of files in this format.
        carries_times: whether words have times in it, unless the user says otherwise.
    """

    write: Callable[..., bytes]
    extension: str
    carries_times: bool


FORMATS = {
    "text": Format(text.write, ".txt", carries_times=False),
    "json": Format(jsonl.write, ".json", carries_times=True),
}

"""One input, as it goes from the list of inputs to the reader of its audio."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sewcli.inputs.raw import RawAudio
from sewcli.inputs.urls import is_url
from sewcli.results import Failure

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """One input: a file, a part of a file, or standard input.

    Attributes:
        path: the name shown to the user and written to the output; "-" is standard input, and it may be an
            address (sewcli.inputs.urls). Bytes that are not UTF-8 are surrogate escapes, as os.fsdecode gives
            them.
        file: the place to open; Path("-") for standard input, and of no meaning for an address.
        offset: where to start, in seconds.
        duration: how much to read, in seconds; None reads to the end.
        text: the reference transcript of a manifest row, or None.
        root: the folder given by the user in which the file was found, or None.
        error: why it is not opened (a bad manifest row, a file whose header cannot be read), or None.
        error_hint, error_code: what to do about that, and its identifier.
        has_file: whether it stands for a file; a bad manifest row and a folder do not.
        channel: the one to read, from 0; None mixes all.
        raw: how its samples are written, where it has no header.
        announced: seconds of what is read by the row of a manifest, or None.
    """

    path: str
    file: Path
    offset: float = 0.0
    duration: float | None = None
    text: str | None = None
    root: str | None = None
    error: str | None = None
    error_hint: str | None = "correct it, or leave it out"
    error_code: str = "source"
    has_file: bool = True
    channel: int | None = None
    raw: RawAudio | None = None
    announced: float | None = None

    @property
    def part(self) -> tuple[float | None, float | None]:
        """Where the part of the file that is read begins and ends, in seconds; no beginning for all of it."""
        if self.duration is None:
            return self.offset or None, None
        return self.offset, self.offset + self.duration

    def failure(self, code: str, message: str) -> Failure:
        """What stands in the place of its result."""
        return Failure(self.path, code, message, self.channel, self.part[0], self._row())

    def _row(self) -> dict[str, Any] | None:
        """Of a manifest that names it wherever it lies; None for standard input and what is no input."""
        if self.path == STDIN or not self.has_file:
            return None
        # resolve() follows links
        place = self.path if self.is_url else os.path.abspath(self.file)  # noqa: PTH100
        begin = self.part[0]
        row = {"audio_filepath": place, "offset": begin, "duration": self.duration, "text": self.text}
        return {key: value for key, value in row.items() if value is not None}

    @property
    def is_stdin(self) -> bool:
        """Whether it is read from standard input (and not from a copy of it on disk)."""
        return self.path == STDIN == str(self.file)

    @property
    def is_url(self) -> bool:
        """Whether it is fetched from an address."""
        return is_url(self.path)

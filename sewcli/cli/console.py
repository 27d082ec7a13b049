"""Messages and progress, on standard error only."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from sewcli.results import Classification, Detections, Embedding, Failure, Transcript


def write_message(message: str) -> None:
    """One line on standard error; the bytes of a path in it are those on disk."""
    text = f"sew: {message}".replace("\n", " ")
    try:
        line = text.encode("utf-8", "surrogateescape") + b"\n"
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        line = text.encode("utf-8", "backslashreplace") + b"\n"
    sys.stderr.flush()
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()


def report_failure(failure: Failure) -> None:
    """One line on a failed input."""
    write_message(failure.message)


class Progress:
    """A line on the terminal that tells files, audio and speed; nothing where there is no terminal.

    Args:
        shown: False keeps it silent on a terminal too.
    """

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and sys.stderr.isatty()
        self._live: Any = None
        self._files = 0
        self._audio = 0.0
        self._started = time.monotonic()

    def __enter__(self) -> Progress:
        if self._shown:
            from rich.console import Console
            from rich.status import Status

            self._live = Status("reading", console=Console(stderr=True))
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.pause()

    def advance(self, result: Transcript | Classification | Detections | Embedding) -> None:
        """Count a finished input."""
        self._files += 1
        self._audio += result.duration
        if self._live is not None:
            from rich.markup import escape

            speed = self._audio / max(time.monotonic() - self._started, 1e-6)
            minutes, seconds = divmod(int(self._audio), 60)
            self._live.update(
                f"{self._files} done, {minutes}:{seconds:02d} of audio, {speed:.1f} x real time, "
                f"{escape(result.path[-60:])}"
            )
            self._live.start()

    def pause(self) -> None:
        """Clear the line, so that something else can be written."""
        if self._live is not None:
            self._live.stop()

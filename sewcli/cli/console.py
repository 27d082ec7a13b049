"""Messages and progress, on standard error only."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

from sewcli.cli.streams import on_terminal, write_message
from sewcli.inputs.source import Source
from sewcli.results import Classification, Detections, Embedding, Failure, Transcript

_log = logging.getLogger("sewcli")


def report_failure(failure: Failure) -> None:
    """One line on a failed input."""
    write_message(failure.message)


class Progress:
    """Files, audio, speed, time left and the file in hand, on one line of a terminal or as lines of a log.

    Args:
        bar: show the line that changes, where standard error is a terminal.
        log_every: seconds between plain lines, or None for none of them.
        total: how many inputs there are, where that is known.
        before: how many of them were done before this run, as far as it has found out.
    """

    def __init__(
        self,
        *,
        bar: bool,
        log_every: float | None = None,
        total: int | None = None,
        before: Callable[[], int] = lambda: 0,
    ) -> None:
        self._shown = bar and sys.stderr.isatty()
        self._live: Any = None
        self._log_every = log_every
        self._ended = threading.Event()
        self._writer: threading.Thread | None = None
        self._total = total
        self._before = before
        self._done = self._failed = 0
        self._audio = 0.0
        self._current = ""
        self._started = time.monotonic()

    def __enter__(self) -> Progress:
        if self._shown:
            from rich.console import Console
            from rich.status import Status

            self._live = Status("reading", console=Console(stderr=True))
            self._live.start()
        if self._log_every is not None:
            self._writer = threading.Thread(target=self._write_lines, daemon=True)
            self._writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.pause()
        self._ended.set()
        if self._writer is not None:
            self._writer.join()  # no line of its after the last one
        if self._log_every is not None and kind is None:
            write_message(self.line())

    def reading(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Pass the inputs on, each as the one in hand."""
        for source in sources:
            self._current = source.path
            yield source

    def advance(self, result: Transcript | Classification | Detections | Embedding) -> None:
        """Count a finished input."""
        self.count(result.path, result.duration)

    def count(self, path: str, duration: float) -> None:
        """Count a finished input by its name and its seconds of audio."""
        self._done += 1
        self._audio += duration
        if _log.isEnabledFor(logging.DEBUG):
            self.pause()
        # files share batches: none has a time of its own
        _log.debug("%s: %.2f s of audio, done after %.2f s", path, duration, time.monotonic() - self._started)
        if self._live is not None:
            from rich.markup import escape

            # one row of the terminal, which takes the line away again
            room = shutil.get_terminal_size().columns - 4
            with suppress(OSError):
                self._live.update(escape(_printable(self.line())[:room]))
                self._live.start()

    def fail(self) -> None:
        """Count a failed input, and make room for the line about it."""
        self._failed += 1
        self.pause()

    def pause(self) -> None:
        """Clear the line, so that something else can be written."""
        if self._live is not None:
            with suppress(OSError):  # of a terminal that is closed
                self._live.stop()

    def make_room(self) -> None:
        """Clear the line where standard output is written to the same terminal."""
        if self._live is not None and on_terminal():
            self.pause()

    def line(self) -> str:
        """How far the run is."""
        elapsed = max(time.monotonic() - self._started, 1e-6)
        before, here = self._before(), self._done + self._failed
        over = before + here
        of_all = "" if self._total is None else f" of {self._total}"
        files = "file" if (self._total or over) == 1 else "files"
        notes = [f"{before} before"] * (before > 0) + [f"{self._failed} failed"] * (self._failed > 0)
        parts = [f"{over}{of_all} {files} done" + (f" ({', '.join(notes)})" if notes else "")]
        parts += [f"{_clock(self._audio)} of audio", f"{self._audio / elapsed:.1f} x real time"]
        if self._total is not None and here and over < self._total:
            parts.append(f"{_clock(elapsed * (self._total - over) / here)} left")
        if self._current and over != self._total:
            parts.append(f"at {self._current[-60:]}")
        return ", ".join(parts)

    def _write_lines(self) -> None:
        while not self._ended.wait(self._log_every):
            write_message(self.line())


def _printable(line: str) -> str:
    """A line without what would move the cursor, such as the line end in the name of a file."""
    return "".join(character if character.isprintable() else "?" for character in line)


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

"""What a command tells on standard error while it runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass

from sewcli.cli.console import Progress
from sewcli.cli.output.directory import Directory
from sewcli.cli.output.sinks import StandardOutput
from sewcli.cli.output.stack import StackFile
from sewcli.errors import UsageError
from sewcli.temporary import remove_left, tell_other_place

#: seconds between the lines of --progress log
LOG_EVERY = 30.0


@dataclass(frozen=True)
class Messages:
    """What is told on standard error while a command runs."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    no_progress: bool = False
    progress: str = "auto"

    def set_up(self) -> None:
        """Send the project's own log messages to standard error (UsageError where options contradict)."""
        if self.quiet and self.verbose:
            raise UsageError("--quiet and --verbose exclude each other", hint="leave one out")
        set_up_messages(quiet=self.quiet, verbose=self.verbose or self.debug)
        tell_other_place()
        remove_left()

    @property
    def bars(self) -> bool:
        """Whether lines that change may be shown on a terminal."""
        return self.progress == "auto" and not (self.quiet or self.no_progress)

    def display(self, total: int | None = None, before: Callable[[], int] = lambda: 0) -> Progress:
        """The progress of a run over `total` inputs, of which so many were done before."""
        logged = self.progress == "log" and not self.no_progress
        return Progress(bar=self.bars, log_every=LOG_EVERY if logged else None, total=total, before=before)

    def display_of(self, sink: StandardOutput | Directory | StackFile) -> Progress:
        """The progress of a run whose results go to `sink`."""
        return self.display(sink.total, lambda: sink.done_before)


def set_up_messages(*, quiet: bool, verbose: bool = False) -> None:
    """Send the project's own log messages to standard error, one line each."""
    logger = logging.getLogger("sewcli")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("sew: %(message)s"))
    logger.handlers = [handler]
    logger.propagate = False
    level = logging.DEBUG if verbose else logging.INFO
    logger.setLevel(logging.ERROR if quiet else level)

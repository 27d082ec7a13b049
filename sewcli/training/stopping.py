"""Stopping a run where it can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sewcli.signals import ending_by


class StopRequest:
    """Whether a run is to stop after the update in hand."""

    def __init__(self) -> None:
        self.requested = False

    @classmethod
    @contextmanager
    def awaited(cls) -> Iterator[StopRequest]:
        """Hold signals to end back while an update is in hand: half an update is no checkpoint."""
        stop = cls()
        with ending_by(stop._request):
            yield stop

    def _request(self, _number: int, _frame: object) -> None:
        if self.requested:  # asked twice: at once
            raise KeyboardInterrupt
        self.requested = True

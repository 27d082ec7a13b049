"""Stopping a run where it can be resumed."""

from __future__ import annotations

import signal
import threading
from typing import Any

from sewcli.signals import ending


class StopRequest:
    """Holds SIGINT, SIGTERM and SIGHUP back while an update is in hand: half an update is no checkpoint."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = ending()
            for number in self._before:
                signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, _number: int, _frame: object) -> None:
        if self.requested:  # asked twice: at once
            raise KeyboardInterrupt
        self.requested = True

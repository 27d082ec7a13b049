"""The signals by which a process is asked to end."""

from __future__ import annotations

import signal
from typing import Any


def ending() -> dict[int, Any]:
    """SIGINT, SIGTERM and, where there is one, SIGHUP of a terminal that is closed, with their handlers.

    What is ignored, as in the background of a shell or by nohup, is not among them.
    """
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    handlers = {number: signal.getsignal(number) for number in numbers}
    return {number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}

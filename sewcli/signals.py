"""The signals by which a process is asked to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def ending() -> dict[int, Any]:
    """SIGINT, SIGTERM and, where there is one, SIGHUP of a terminal that is closed, with their handlers.

    What is ignored, as in the background of a shell or by nohup, is not among them. Threads other than the
    first one can have no handlers: for them there are none.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    handlers = {number: signal.getsignal(number) for number in numbers}
    return {number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}


@contextmanager
def ending_by(handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Have another handler take them."""
    before = ending()
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)

"""Standard input, wherever it is read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO

from sewcli.errors import UsageError
from sewcli.inputs.source import STDIN


def check_read_once(names: Iterable[object]) -> None:
    """Refuse to read standard input, "-" among the names of what is read, twice (UsageError)."""
    if list(map(str, names)).count(STDIN) > 1:
        raise UsageError("standard input can be read only once", hint="name - once")


def standard_input() -> BinaryIO:
    """Standard input in bytes, whose reads wait for what comes.

    A parent may have left its pipe to return at once, and Python takes one that holds nothing yet for one
    that has ended.

    Raises:
        UsageError: it is closed.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("standard input is closed", hint="name a file, or pass something in")
    with suppress(OSError):  # no file of the system
        os.set_blocking(sys.stdin.fileno(), True)
    return sys.stdin.buffer

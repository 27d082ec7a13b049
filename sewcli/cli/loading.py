"""An interrupt while libraries and weights are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from sewcli.cli.streams import write_message
from sewcli.errors import EXIT_INTERRUPTED
from sewcli.signals import ending_by


@contextmanager
def ending_at_once() -> Iterator[None]:
    """End the process at once, with a line and exit code 130, on SIGINT, SIGTERM and SIGHUP.

    An exception in the middle of compiled code that is being imported, or of a thread that holds the lock of
    imports, aborts the process, is taken for a damaged model, or leaves it waiting. Nothing is lost: no input
    has been read.
    """
    with ending_by(_end):
        yield


def _end(_number: int, _frame: object) -> NoReturn:
    from sewcli.temporary import remove_all

    write_message("interrupted")
    remove_all()
    os._exit(EXIT_INTERRUPTED)

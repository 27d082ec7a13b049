"""Runs that end where nobody takes the rest of their results."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager


@contextmanager
def ended(results: Iterator[object]) -> Iterator[None]:
    """Have the run behind the results end, with its threads and processes, where nobody takes the rest."""
    try:
        yield
    finally:
        if isinstance(results, Generator):
            results.close()

"""How often each hotword was found in all inputs of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping

_log = logging.getLogger("sewcli")


class Tally:
    """Adds up what was found in each transcript."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, found: Mapping[str, int] | None) -> None:
        """Count what was found in one more transcript, see `Transcript.hotwords`."""
        for word, count in (found or {}).items():
            self._counts[word] = self._counts.get(word, 0) + count

    def report(self) -> None:
        """One message, where there are hotwords."""
        if self._counts:
            found = ", ".join(f"{word} {count}" for word, count in self._counts.items())
            _log.info("hotwords found: %s", found)

"""Clips that a training does without, told one by one and counted."""

from __future__ import annotations

import logging
from collections import Counter

from sewcli.inputs.manifest import Row, listed, tell_bad

log = logging.getLogger("sewcli")


class LeftOut:
    """The clips of one set that are left out.

    Args:
        which: what the clips are, for messages, as "training".
        total: clips of the set.
        skip_bad: whether those may be left out that no recipe could use.
    """

    def __init__(self, which: str, total: int, *, skip_bad: bool = True) -> None:
        self._which, self._total, self._skip_bad = which, total, skip_bad
        self._reasons: Counter[str] = Counter()
        self._bad: list[str] = []
        self._hint = ""
        self._unfit: list[str] = []

    def bad(self, row: Row, reason: str, detail: str, hint: str = "correct it") -> None:
        """A clip with something to correct, and how."""
        if not self._bad:
            self._hint = hint
        self._bad.append(row.told(f"{row.source.path}: {detail}"))
        self._reasons[reason] += 1

    def unfit(self, row: Row, reason: str, detail: str) -> None:
        """A clip that is not for this recipe."""
        self._unfit.append(row.told(f"{row.source.path}: {detail}"))
        self._reasons[reason] += 1

    def tell(self) -> None:
        """Name them and count them by reason.

        Raises:
            UsageError: one is bad, and may not be left out.
        """
        if self._bad:
            tell_bad(self._bad, skip_bad=self._skip_bad, hint=self._hint)
        for message in listed(self._unfit, len(self._unfit)):
            log.warning("%s", message)
        for reason, count in self._reasons.items():
            log.warning("%d of %d %s clips left out: %s", count, self._total, self._which, reason)

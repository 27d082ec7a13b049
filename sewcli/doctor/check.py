"""What was found when one thing was tried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: of what was tried.
        ok: whether it works.
        detail: what was found.
        fix: what to do where it does not work, or None.
        needed: False for what only some uses need.
    """

    name: str
    ok: bool
    detail: str
    fix: str | None = None
    needed: bool = True


def found(detail: str) -> Check:
    """Of something that works."""
    return Check("", True, detail)

"""One input of a plan with its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sewcli.inputs.source import Source


@dataclass(frozen=True, slots=True)
class Planned:
    """One input and the files of its result.

    Attributes:
        source: the input.
        targets: one a format, in their order; none for what is no input, which will fail.
        beside: others that its run writes (logits, a picture), and is not done without.
    """

    source: Source
    targets: tuple[Path, ...]
    beside: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return self.targets + self.beside

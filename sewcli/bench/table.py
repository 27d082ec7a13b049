"""The tables of a measurement, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: of the measurement.
        title: what was measured, one sentence.
        columns: heads, units included.
        rows: cells, as text.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """A heading, the title and the table, each line ended."""
        ruler = _line(("---",) * len(self.columns))
        lines = [f"## {self.name}", "", self.title, "", _line(self.columns), ruler]
        return "\n".join([*lines, *map(_line, self.rows), ""])


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"

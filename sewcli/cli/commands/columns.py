"""Rows of cells on standard output: with tabs for programs, in columns on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from sewcli.cli.streams import on_terminal, write_lines


def write_columns(rows: Sequence[Sequence[str]]) -> None:
    """Write rows of the same number of cells."""
    if on_terminal():
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    else:
        lines = ["\t".join(row) for row in rows]
    write_lines(*lines)

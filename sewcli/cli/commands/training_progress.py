"""Progress of a training on a terminal; lines in a log elsewhere."""

from __future__ import annotations

import math
import sys
from typing import Any

from sewcli.training.interfaces import Observer
from sewcli.training.observers import MessageLog, evaluation_lines

#: weight of the newest update in the loss that is shown
_NEWEST = 0.05


def training_observer(steps: int, *, shown: bool) -> Observer:
    """A live display where standard error is a terminal and `shown`, else lines through the log."""
    return LiveProgress(steps) if shown and sys.stderr.isatty() else MessageLog()


class LiveProgress:
    """A bar with loss, error on dev, speed and time left; evaluations scroll past above it."""

    def __init__(self, steps: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TextColumn("{task.fields[dev]}"),
            TextColumn("{task.fields[speed]:.0f} x real time"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar = self._progress.add_task("", total=steps, loss=0.0, dev="", speed=0.0)
        self._loss: float | None = None

    def updated(self, step: int, loss: float, rate: float, speed: float) -> None:  # noqa: ARG002
        """Move the bar."""
        if not math.isnan(loss):  # of an update that was skipped
            self._loss = loss if self._loss is None else self._loss + _NEWEST * (loss - self._loss)
        self._progress.start()
        self._progress.update(self._bar, completed=step, loss=self._loss or 0.0, speed=speed)

    def evaluated(self, record: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
        """Show the metrics and samples."""
        name = "wer" if "wer" in record else "error"
        self._progress.update(self._bar, dev=f"dev {name} {100 * record[name]:.1f} %")
        for line in evaluation_lines(record, pairs):
            self._progress.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last state of the bar on the terminal."""
        self._progress.stop()

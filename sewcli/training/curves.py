"""A picture of how a run went."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

log = logging.getLogger("sewcli")

_NOT_METRICS = {"step", "train_loss", "speed"}


def draw_curves(records: list[dict[str, Any]], target: Path) -> None:
    """Draw training loss and the metrics on dev over the updates, as PNG.

    Without matplotlib nothing is drawn and a message says so.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.info("no picture of the curves: pip install 'sewcli[plot]'")
        return
    steps = [record["step"] for record in records]
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [record["train_loss"] for record in records], marker="o")
    left.set(title="training loss", xlabel="updates", ylim=(0, None))
    names = [name for name in records[-1] if name not in _NOT_METRICS and "_" not in name]
    for name in names:
        right.plot(steps, [100 * record[name] for record in records], marker="o", label=f"{name} %")
    right.set(title="dev", xlabel="updates", ylim=(0, None))
    right.legend()
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.savefig(target, dpi=120)

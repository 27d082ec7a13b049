"""A picture of how a run went."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from sewcli.training.observers import is_loss, is_metric

log = logging.getLogger("sewcli")


def draw_curves(records: list[dict[str, Any]], target: Path) -> None:
    """Draw the losses and the metrics on dev over the updates, as PNG.

    Without matplotlib or a record nothing is drawn, which is told.
    """
    if not records:
        log.info("no picture of the curves: metrics.jsonl has no evaluation")
        return
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.info("no picture of the curves: pip install 'sewcli[plot]'")
        return
    steps = [record["step"] for record in records]
    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    for name, label in (("train_loss", "training"), ("loss", "dev")):
        left.plot(steps, [_number(record, name) for record in records], marker="o", label=label)
    left.set(title="loss", xlabel="updates", ylim=(0, None))
    # not those of the sets
    names = [name for name in records[-1] if is_metric(name) and not is_loss(name) and "_" not in name]
    for name in names:
        shares = [100 * _number(record, name) for record in records]
        right.plot(steps, shares, marker="o", label=f"{name} %")
    right.set(title="dev", xlabel="updates", ylim=(0, None))
    for axis in (left, right):
        axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(target, dpi=120)


def _number(record: dict[str, Any], name: str) -> float:
    """A value of a record; nan, of which there is no point, where there is none."""
    value = record.get(name)
    return math.nan if value is None else float(value)

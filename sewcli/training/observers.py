"""Logs of a run: metrics.jsonl, TensorBoard, and lines for a terminal or a log file."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

from sewcli.atomic import write_whole

log = logging.getLogger("sewcli")

#: updates between two lines
_EVERY = 50
#: dev samples shown after an evaluation
SHOWN_SAMPLES = 4


class MetricsLog:
    """`metrics.jsonl`: one line an evaluation, with its metrics on dev.

    A run that resumes from a checkpoint may repeat an evaluation it had written before it was killed;
    the later line replaces the earlier.

    Args:
        directory: of the run.
        step: the run goes on from this update: what the file has of later ones, as of another run that began
            there, is removed. None reads alone.
    """

    def __init__(self, directory: Path, step: int | None = None) -> None:
        self._file = directory / "metrics.jsonl"
        if step is not None:
            self._write([record for record in self.records() if record["step"] <= step])

    def records(self) -> list[dict[str, Any]]:
        """All evaluations so far."""
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    def updated(self, step: int, loss: float, rate: float, speed: float) -> None:
        """Updates are not in this log."""

    def evaluated(self, record: dict[str, Any], pairs: list[tuple[str, str]]) -> None:  # noqa: ARG002
        """Add a line."""
        kept = [earlier for earlier in self.records() if earlier["step"] < record["step"]]
        # JSON has no nan: the loss of updates that were all skipped
        record = {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in record.items()
        }
        self._write([*kept, record])

    def _write(self, records: list[dict[str, Any]]) -> None:
        write_whole(self._file, "".join(json.dumps(line) + "\n" for line in records).encode())

    def close(self) -> None:
        """Nothing is open."""


class TensorBoardLog:
    """Event files under `tensorboard/`: loss, learning rate and speed of updates, metrics, dev samples.

    Args:
        directory: of the run.
        writer: SummaryWriter of torch.
        step: the run goes on from this update; what an earlier process wrote of later ones is not shown.
    """

    def __init__(self, directory: Path, writer: Any, step: int) -> None:
        self._writer = writer(str(directory / "tensorboard"), purge_step=step + 1 if step else None)

    @classmethod
    def where_installed(cls, directory: Path, step: int = 0) -> list[TensorBoardLog]:
        """One log, or none, which is told, where the package tensorboard is missing."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            log.info("no TensorBoard log: pip install 'sewcli[train]'")
            return []
        return [cls(directory, SummaryWriter, step)]

    def updated(self, step: int, loss: float, rate: float, speed: float) -> None:
        """Scalars of every tenth update."""
        if step % 10 == 0:
            for name, value in (("loss", loss), ("learning_rate", rate), ("times_real_time", speed)):
                self._writer.add_scalar(f"train/{name}", value, step)

    def evaluated(self, record: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
        """Scalars and samples of an evaluation."""
        for name, value in record.items():
            if is_metric(name):
                self._writer.add_scalar(f"dev/{name}", value, record["step"])
        shown = "\n\n".join(f"{reference} | {answer}" for reference, answer in spread(pairs))
        self._writer.add_text("dev/samples", shown, record["step"])
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class MessageLog:
    """Lines through the log: the loss now and then, every evaluation with samples."""

    def __init__(self) -> None:
        self._losses: list[float] = []

    def updated(self, step: int, loss: float, rate: float, speed: float) -> None:
        """A line every so many updates, with the mean loss since the one before."""
        self._losses.append(loss)
        if step % _EVERY == 0:
            mean = mean_loss(self._losses)
            log.info("step %d: loss %.3f, rate %.1e, %.0f x real time", step, mean, rate, speed)
            self._losses.clear()

    def evaluated(self, record: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
        """The metrics, and some of dev as the model hears it."""
        for line in evaluation_lines(record, pairs):
            log.info("%s", line)

    def close(self) -> None:
        """Nothing is open."""


def evaluation_lines(record: dict[str, Any], pairs: list[tuple[str, str]]) -> list[str]:
    """What to tell of an evaluation: the metrics in all (not by set), then (reference | answer) samples."""
    shown = [f"{key} {value:.4f}" for key, value in record.items() if is_metric(key) and "_" not in key]
    learned = "" if math.isnan(record["train_loss"]) else f"train loss {record['train_loss']:.3f}; "
    head = f"step {record['step']}: {learned}{', '.join(shown)}"
    return [head, *(f"    {reference} | {answer}" for reference, answer in spread(pairs))]


def is_metric(name: str) -> bool:
    """Whether a value of a record is one of the task on dev; those of a set have its name after a "_"."""
    return name not in ("step", "train_loss", "speed")


def is_loss(name: str) -> bool:
    """Whether a metric is a loss, and not a share."""
    return name == "loss" or name.startswith("loss_")


def mean_loss(losses: list[float]) -> float:
    """Of the updates that were not skipped (nan); nan where all were."""
    made = [loss for loss in losses if not math.isnan(loss)]
    return sum(made) / len(made) if made else math.nan


def spread(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A few pairs from all over the list."""
    return pairs[:: max(1, len(pairs) // SHOWN_SAMPLES)][:SHOWN_SAMPLES]

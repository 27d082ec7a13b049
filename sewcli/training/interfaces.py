"""What the training loop asks of a task, and of those who are told about a run."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.forward import Model
from sewcli.training.feed import Examples


class Task(Examples, Protocol):
    """What differs between transcription and classification."""

    #: the metric that decides which weights are best; less is better
    selection_metric: str

    @property
    def outputs(self) -> list[str]:
        """What the columns of the head stand for."""

    @property
    def phones(self) -> list[str]:
        """What is learned beside it, where something is."""

    def loss(self, model: Model, batch: Batch, targets: list[Any]) -> torch.Tensor:
        """Mean loss of a batch, a scalar."""

    def begin(self, step: int) -> None:
        """Before update `step` (from 0)."""

    def prepare_head(self, model: Model) -> None:
        """Set a fresh head to a good starting point, in place."""

    def evaluate(self, model: Model, batch_samples: int) -> tuple[dict[str, float], list[tuple[str, str]]]:
        """Metrics on dev, and (reference, answer) pairs to show."""


class Observer(Protocol):
    """What is told about a run: logs, pictures, progress on a terminal."""

    def updated(self, step: int, loss: float, rate: float, speed: float) -> None:
        """After each update: its loss, its learning rate, audio seconds a second."""

    def evaluated(self, record: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
        """After each evaluation: its metrics, and (reference, answer) pairs of dev."""

    def close(self) -> None:
        """At the end, whatever ended it."""

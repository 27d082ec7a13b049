"""What the training loop asks of a task, and of those who are told about a run."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.forward import Model
from sewcli.training.feed import Examples


class Task(Examples, Protocol):
    """What differs between transcription and classification."""

    #: the metrics that decide which weights are best, each where those before it are equal; less is better
    selection_metrics: tuple[str, ...]

    @property
    def outputs(self) -> dict[str, list[str]]:
        """What the columns of each head stand for, by what they are: "tokens", "phones" or "labels"."""

    @property
    def fingerprint(self) -> str:
        """Tells the training clips and what is to be learned of them from others."""

    @property
    def dev_fingerprint(self) -> str:
        """The same of the clips of dev."""

    def loss(self, model: Model, batch: Batch, targets: list[Any]) -> torch.Tensor:
        """Mean loss of a batch, a scalar."""

    def begin(self, step: int) -> None:
        """Before update `step` (from 0)."""

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

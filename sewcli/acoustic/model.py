"""The acoustic model: chunks of samples in, logits out.

The pipeline and the consumers see `AcousticModel` alone; which library or device runs the network is decided
in this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.statistics import WaveStatistics
from sewcli.errors import DeviceError, InputError


@dataclass(frozen=True)
class Segment:
    """One row of a batch.

    Attributes:
        samples: raw 16 kHz mono, shape (n,), n >= 720, float32.
        statistics: moments of the utterance the segment is normalised by.
    """

    samples: NDArray[np.float32]
    statistics: WaveStatistics


class AcousticModel(Protocol):
    """A SEW or SEW-D network with its head.

    Attributes:
        labels: class names in the order of the logits (classification; empty for ctc).
        columns: width of the logits.
        device: name of the device it runs on.
        head_bias: (columns,) float32, bias of the head (ctc; empty for classification). transformers gives
            an odd last frame these logits.
    """

    labels: tuple[str, ...]
    columns: int
    device: str
    head_bias: NDArray[np.float32]

    def __call__(self, segments: Sequence[Segment]) -> list[NDArray[np.float32]]:
        """Run a batch; the result for a segment does not depend on its neighbours.

        Returns:
            For each segment (F, columns), float32, F its frames with the odd last one left out;
            for classification (columns,). A segment that is too much for the network may have values that
            are not finite, see `check_finite`.

        Raises:
            DeviceError: out of memory even for one segment.
            ModelError: the network gives no numbers whatever it hears.
        """


def check_finite(name: str, output: NDArray[np.float32]) -> None:
    """Raise InputError unless the output of a segment is numbers, naming the input it is of."""
    if not np.isfinite(output).all():
        raise InputError(
            f"{name}: the network gives values that are not numbers for it",
            hint="use --dtype float32; if it is that already, leave the input out",
            code="not_finite_logits",
        )


class PartlyRunError(DeviceError):
    """The memory was enough for the first segments of a batch only.

    Attributes:
        outputs: of these.
    """

    def __init__(self, error: DeviceError, outputs: list[NDArray[np.float32]]) -> None:
        super().__init__(error.message, hint=error.hint, code=error.code)
        self.outputs = outputs


class Underway(Protocol):
    """A batch that was begun."""

    def ready(self) -> bool:
        """Whether `result` would not wait."""

    def result(self) -> list[NDArray[np.float32]]:
        """What `AcousticModel` returns, and raises, for the batch; PartlyRunError where a part of it ran."""

    def cancel(self) -> None:
        """Give it up where it has not begun: `result` is not asked for."""


@runtime_checkable
class Starting(Protocol):
    """An acoustic model that can begin a batch before the result of the last one is asked for.

    Attributes:
        most_seconds: padded audio that a batch may have; less after one that did not fit the memory.
        lanes: batches that run side by side, on a CPU; 1 where they run one after the other.
    """

    @property
    def most_seconds(self) -> float:
        """See the class."""

    @property
    def lanes(self) -> int:
        """See the class."""

    def start(self, segments: Sequence[Segment], *, beside: bool = False) -> Underway:
        """Begin a batch; on a GPU the call returns while the card computes.

        Args:
            segments: of the batch.
            beside: in a lane, where there are some, beside other batches; else with all threads.

        Raises:
            DeviceError: out of memory even for one segment.
        """


@runtime_checkable
class Attending(Protocol):
    """An acoustic model that can also tell what its layers attended to.

    Attributes:
        attends: whether it was made to.
    """

    attends: bool

    def take_attentions(self) -> list[NDArray[np.float32]]:
        """Those of the last call, given once: for each segment (layers, heads, S, S), float32, S its states.

        S is half the number of its frames, rounded down; a row is the distribution of one state over all.
        Empty where they were not asked for.
        """


def attending(model: AcousticModel) -> Attending | None:
    """The model, where it was made to tell what its layers attend to."""
    return model if isinstance(model, Attending) and model.attends else None

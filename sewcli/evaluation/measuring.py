"""What evaluating takes from a run beside the answer: the CTC loss and the time spent in the network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.model import AcousticModel, PartlyRunError, Segment
from sewcli.evaluation.loss import Loss, LossOfRecording
from sewcli.pipeline.consumer import Consumer
from sewcli.reading.recording import Recording
from sewcli.results import Failure

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Measured(Generic[AnswerT]):
    """An answer and what was measured on the way to it.

    Attributes:
        answer: a transcript or a classification.
        network_seconds: the recording's share of the time spent in the network.
        loss: the CTC loss of the source's text, or None if it was not taken.
    """

    answer: AnswerT
    network_seconds: float
    loss: Loss | None


class Stopwatch:
    """A model that takes the time of each batch and shares it among the segments by their lengths.

    Shares are taken in the order in which the outputs are handed on.

    Args:
        model: whose time is taken.
        shared: keep the shares; without it the total alone.

    Attributes:
        total: seconds so far.
    """

    def __init__(self, model: AcousticModel, *, shared: bool = True) -> None:
        self._model = model
        self._shared = shared
        self._shares: deque[float] = deque()
        self.total = 0.0
        self.labels = model.labels
        self.columns = model.columns
        self.device = model.device
        self.head_bias = model.head_bias

    def __call__(self, segments: Sequence[Segment]) -> list[NDArray[np.float32]]:
        """See `AcousticModel`."""
        started = time.perf_counter()
        try:
            outputs = self._model(segments)
        except PartlyRunError as error:  # those before what has failed are handed on
            self._count(segments[: len(error.outputs)], time.perf_counter() - started)
            raise
        self._count(segments, time.perf_counter() - started)
        return outputs

    def _count(self, segments: Sequence[Segment], seconds: float) -> None:
        self.total += seconds
        if self._shared:
            samples = sum(segment.samples.size for segment in segments)
            self._shares.extend(seconds * segment.samples.size / samples for segment in segments)

    def share(self) -> float:
        """Seconds of the next segment."""
        return self._shares.popleft()


class MeasuringConsumer(Consumer[Measured[AnswerT] | Failure], Generic[AnswerT]):
    """A consumer of one recording around the one that makes the answer.

    Args:
        consumer: makes the answer.
        stopwatch: the model whose outputs are consumed.
        loss: of this recording, or None.
    """

    def __init__(
        self, consumer: Consumer[AnswerT | Failure], stopwatch: Stopwatch, loss: LossOfRecording | None = None
    ) -> None:
        self._consumer = consumer
        self._stopwatch = stopwatch
        self._loss = loss
        self._seconds = 0.0

    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the output of the next chunk."""
        self._seconds += self._stopwatch.share()
        self._consumer.push(output)
        if self._loss is not None:
            self._loss.push(output)

    def skip(self, frames: int) -> None:
        """Hand on that frames were not run."""
        self._consumer.skip(frames)

    def pass_over(self) -> None:
        """Take the share of a chunk of a recording that has failed."""
        self._stopwatch.share()

    def result(self, recording: Recording) -> Measured[AnswerT] | Failure:
        """The answer, and the loss of the text of the recording's source."""
        answer = self._consumer.result(recording)
        if isinstance(answer, Failure):
            return answer
        loss = None
        if self._loss is not None:
            loss = self._loss.finish(recording.source.text or "", recording.samples)
        return Measured(answer, self._seconds, loss)

    def close(self) -> None:
        """Give resources back."""
        self._consumer.close()
        if self._loss is not None:
            self._loss.close()

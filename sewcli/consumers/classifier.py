"""Logits of one clip to the probabilities of its labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sewcli.pipeline.consumer import Consumer
from sewcli.reading.recording import Recording
from sewcli.results import Classification, LabelScore, ModelInfo


@dataclass
class Classifier(Consumer[Classification]):
    """Consumer that turns the label logits of one clip into probabilities.

    Attributes:
        labels: in the order of the logits.
        model: that makes the logits.
        top: how many labels to keep.
    """

    labels: tuple[str, ...]
    model: ModelInfo
    top: int
    _logits: NDArray[np.float32] | None = None

    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the logits of the clip, shape (labels,), once (ValueError if called again)."""
        if self._logits is not None:
            raise ValueError("a clip is classified as one piece")
        self._logits = output

    def result(self, recording: Recording) -> Classification:
        """The best labels with their probabilities (softmax)."""
        assert self._logits is not None  # the pipeline pushes before it asks
        scores = probabilities(self._logits)
        best = np.argsort(-scores, kind="stable")[: self.top]
        return Classification(
            path=recording.source.path,
            duration=recording.duration,
            labels=tuple(LabelScore(self.labels[i], round(float(scores[i]), 6)) for i in best),
            model=self.model,
            offset=recording.source.part[0],
            channel=recording.source.channel,
        )

    def close(self) -> None:
        """Nothing to give back."""


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax of the logits of labels, shape (labels,)."""
    shifted = np.exp((logits - logits.max()).astype(np.float64))
    scores: NDArray[np.float64] = shifted / shifted.sum()
    return scores

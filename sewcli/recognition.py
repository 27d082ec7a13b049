"""What becomes of the network's output: transcripts and classifications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sewcli.decoding.hypothesis import Hypothesis
from sewcli.recording import Recording
from sewcli.results import Classification, LabelScore, ModelInfo, Transcript

TIMESTAMPS = ("none", "word", "char")


class Decoder(Protocol):
    """Makes text of the logits of one recording."""

    def push(self, logits: NDArray[np.float32]) -> None:
        """Take in the logits of the next frames, shape (T, V)."""

    def finish(self) -> Hypothesis:
        """The transcript of all frames so far."""

    def close(self) -> None:
        """Give resources back."""


@dataclass
class Transcriber:
    """Consumer that decodes one recording into a transcript.

    Attributes:
        decoder: of this recording.
        model: that makes the logits.
        settings: all that can change the text, for the record.
        timestamps: "none", "word" or "char".
    """

    decoder: Decoder
    model: ModelInfo
    settings: Mapping[str, Any]
    timestamps: str = "none"

    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the kept frames of the next chunk, shape (T, V)."""
        self.decoder.push(output)

    def result(self, recording: Recording) -> Transcript:
        """The transcript of the recording."""
        hypothesis = self.decoder.finish()
        duration, offset = recording.duration, recording.source.offset
        return Transcript(
            path=recording.source.path,
            duration=duration,
            text=hypothesis.text,
            model=self.model,
            words=hypothesis.words(duration, offset) if self.timestamps != "none" else None,
            chars=hypothesis.chars(duration, offset) if self.timestamps == "char" else None,
            settings=self.settings,
            offset=_offset(recording),
            channel=recording.source.channel,
        )

    def close(self) -> None:
        """Give the decoder's resources back."""
        self.decoder.close()


@dataclass
class Classifier:
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
        shifted = np.exp((self._logits - self._logits.max()).astype(np.float64))
        scores = shifted / shifted.sum()
        best = np.argsort(-scores, kind="stable")[: self.top]
        return Classification(
            path=recording.source.path,
            duration=recording.duration,
            labels=tuple(LabelScore(self.labels[i], round(float(scores[i]), 6)) for i in best),
            model=self.model,
            offset=_offset(recording),
            channel=recording.source.channel,
        )

    def close(self) -> None:
        """Nothing to give back."""


def _offset(recording: Recording) -> float | None:
    """Where a part of a file begins; None for a whole file."""
    source = recording.source
    return source.offset if source.offset or source.duration is not None else None

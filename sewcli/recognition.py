"""What becomes of the network's output: transcripts, alignments and classifications."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sewcli.audio import shown
from sewcli.casing import AS_IS, Case, recased
from sewcli.decoding.decoders import Decoder
from sewcli.decoding.frames import FrameFile
from sewcli.decoding.known import KnownText
from sewcli.decoding.offsets import corrected
from sewcli.decoding.pauses import PausingDecoder
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import InputError
from sewcli.inputs.sources import Source
from sewcli.reading.recording import Recording
from sewcli.results import Classification, Failure, LabelScore, ModelInfo, Span, Transcript

_log = logging.getLogger("sewcli")


class Heard(Protocol):
    """What a transcript takes from its recording."""

    @property
    def source(self) -> Source:
        """Where it came from."""

    @property
    def duration(self) -> float:
        """Seconds that were read."""


@dataclass
class Transcriber:
    """Consumer that decodes one recording into a transcript.

    Attributes:
        decoder: of this recording.
        model: that makes the logits.
        settings: all that can change the text, for the record.
        timestamps: "none", "word" or "char".
        case: letter case of the text, see `sewcli.casing`.
    """

    decoder: Decoder
    model: ModelInfo
    settings: Mapping[str, Any]
    timestamps: str = "none"
    case: Case = AS_IS

    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the kept frames of the next chunk, shape (T, V)."""
        self.decoder.push(output)

    def skip(self, frames: int) -> None:
        """Take note of frames that were not run."""
        assert isinstance(self.decoder, PausingDecoder)  # where silences are left out
        self.decoder.skip(frames)

    def result(self, recording: Heard) -> Transcript | Failure:
        """The transcript of the recording, or a failure where its decoding has ended early."""
        source = recording.source
        try:
            hypothesis = self.decoder.finish()
        except InputError as error:
            return failed(source, error.code, f"{shown(source)}: {error}")
        duration, offset = recording.duration, recording.source.offset
        timed = partial(corrected, model=self.model, begin=offset, end=offset + duration)
        transcript = Transcript(
            path=recording.source.path,
            duration=duration,
            text=hypothesis.text,
            model=self.model,
            words=timed(hypothesis.words(duration, offset)) if self.timestamps != "none" else None,
            chars=timed(hypothesis.chars(duration, offset)) if self.timestamps == "char" else None,
            settings=self.settings,
            offset=part_offset(recording.source),
            channel=recording.source.channel,
            alternatives=hypothesis.alternatives,
            hotwords=hypothesis.hotwords,
        )
        return recased(transcript, self.case)

    def close(self) -> None:
        """Give the decoder's resources back."""
        self.decoder.close()


@dataclass
class Aligner:
    """Consumer that finds the words of a known text, that of its source, in one recording.

    Attributes:
        vocabulary: that spells the text.
        model: that makes the logits.
        settings: all that can change the result, for the record.
        timestamps: "word" or "char".
        least: confidence below which a word does not fit.
        ignore_punctuation: see `KnownText`.
    """

    vocabulary: Vocabulary
    model: ModelInfo
    settings: Mapping[str, Any]
    timestamps: str
    least: float
    ignore_punctuation: bool = False
    _frames: FrameFile = field(init=False)

    def __post_init__(self) -> None:
        """Open the temporary file."""
        self._frames = FrameFile(len(self.vocabulary.tokens))

    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the kept frames of the next chunk, shape (T, V)."""
        self._frames.append(self.vocabulary.log_posteriors(output))

    def result(self, recording: Recording) -> Transcript | Failure:
        """The known text with its times, or a failure where it is longer than the recording."""
        source = recording.source
        text = KnownText(source.text, self.vocabulary, ignore_punctuation=self.ignore_punctuation)
        if not text.fits(len(self._frames)):
            message = (
                f"{shown(source)}: its text has {text.characters} characters, more than "
                f"{recording.duration:g} s can hold (see that text and recording belong together)"
            )
            return failed(source, "text_too_long", message)
        hypothesis = text.align(self._frames.mapped())
        duration, offset = recording.duration, source.offset
        timed = partial(corrected, model=self.model, begin=offset, end=offset + duration)
        spelled = timed(hypothesis.words(duration, offset))
        words = tuple(
            replace(span, text=word, fits=span.confidence >= self.least)
            for word, span in zip(text.words, spelled, strict=True)
        )
        self._report(shown(source), words)
        return Transcript(
            path=source.path,
            duration=duration,
            text=hypothesis.text,
            model=self.model,
            words=words,
            chars=timed(hypothesis.chars(duration, offset)) if self.timestamps == "char" else None,
            settings=self.settings,
            offset=part_offset(source),
            channel=source.channel,
        )

    def _report(self, name: str, words: tuple[Span, ...]) -> None:
        misfits = [word for word in words if not word.fits]
        if misfits:
            named = ", ".join(f"{word.text!r} at {word.start:.2f} s" for word in misfits[:3])
            more = ", ..." if len(misfits) > 3 else ""
            _log.warning("%s: %d of %d words do not fit: %s%s", name, len(misfits), len(words), named, more)

    def close(self) -> None:
        """Give the temporary file back."""
        self._frames.close()


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
        scores = probabilities(self._logits)
        best = np.argsort(-scores, kind="stable")[: self.top]
        return Classification(
            path=recording.source.path,
            duration=recording.duration,
            labels=tuple(LabelScore(self.labels[i], round(float(scores[i]), 6)) for i in best),
            model=self.model,
            offset=part_offset(recording.source),
            channel=recording.source.channel,
        )

    def close(self) -> None:
        """Nothing to give back."""


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax of the logits of labels, shape (labels,)."""
    shifted = np.exp((logits - logits.max()).astype(np.float64))
    scores: NDArray[np.float64] = shifted / shifted.sum()
    return scores


def failed(source: Source, code: str, message: str) -> Failure:
    """What stands in the place of the result of an input."""
    return Failure(source.path, code, message, source.channel, part_offset(source))


def part_offset(source: Source) -> float | None:
    """Where a part of a file begins; None for a whole file."""
    return source.offset if source.offset or source.duration is not None else None

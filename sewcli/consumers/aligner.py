"""Logits of one recording and its known text to the times of its words."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sewcli.audio import shown
from sewcli.decoding.frames import FrameFile
from sewcli.decoding.known import KnownText
from sewcli.decoding.offsets import corrected
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.pipeline.consumer import Consumer
from sewcli.reading.recording import Recording
from sewcli.results import Failure, ModelInfo, Span, Transcript

_log = logging.getLogger("sewcli")


@dataclass
class Aligner(Consumer[Transcript | Failure]):
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
            return source.failure("text_too_long", message)
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
            offset=source.part[0],
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

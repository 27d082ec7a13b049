"""Logits of one recording to its transcript."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sewcli.audio import shown
from sewcli.casing import AS_IS, Case, recased
from sewcli.decoding.decoders import Decoder
from sewcli.decoding.offsets import corrected
from sewcli.decoding.pauses import PausingDecoder
from sewcli.errors import InputError
from sewcli.inputs.source import Source
from sewcli.pipeline.consumer import Consumer
from sewcli.results import Failure, ModelInfo, Transcript


class Heard(Protocol):
    """What a transcript takes from its recording."""

    @property
    def source(self) -> Source:
        """Where it came from."""

    @property
    def duration(self) -> float:
        """Seconds that were read."""


@dataclass
class Transcriber(Consumer[Transcript | Failure]):
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
            return source.failure(error.code, f"{shown(source)}: {error}")
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
            offset=recording.source.part[0],
            channel=recording.source.channel,
            alternatives=hypothesis.alternatives,
            hotwords=hypothesis.hotwords,
        )
        return recased(transcript, self.case)

    def close(self) -> None:
        """Give the decoder's resources back."""
        self.decoder.close()

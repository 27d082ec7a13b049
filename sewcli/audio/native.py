"""What a decoder hands over: audio as it is in the file, with its own rate and channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sewcli.audio.dsp import Block

NO_AUDIO_STREAM = "it holds no audio stream"


class UnreadableError(Exception):
    """A decoder does not know what to do with a file; the text says why, in its own words."""


@dataclass(frozen=True)
class NativeAudio:
    """An opened file, or the part of it that a source names.

    Attributes:
        rate: frames a second.
        channels: of the file.
        frames: of the whole file, by its header; None where that does not say.
        blocks: float32 arrays of shape (frames, channels).
        librosa_reads_it: librosa.load reads the same frames from this file.
    """

    rate: int
    channels: int
    frames: int | None
    blocks: Iterator[Block]
    librosa_reads_it: bool

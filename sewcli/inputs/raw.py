"""Samples without a header, as they come through a pipe: what has to be said about them."""

from __future__ import annotations

from dataclasses import dataclass

#: names as ffmpeg has them -> the encoding and the byte order as libsndfile has them
RAW_FORMATS = {
    "s16le": ("PCM_16", "LITTLE"),
    "s16be": ("PCM_16", "BIG"),
    "s24le": ("PCM_24", "LITTLE"),
    "s24be": ("PCM_24", "BIG"),
    "s32le": ("PCM_32", "LITTLE"),
    "s32be": ("PCM_32", "BIG"),
    "f32le": ("FLOAT", "LITTLE"),
    "f32be": ("FLOAT", "BIG"),
    "f64le": ("DOUBLE", "LITTLE"),
    "f64be": ("DOUBLE", "BIG"),
    "s8": ("PCM_S8", "FILE"),
    "u8": ("PCM_U8", "FILE"),
    "mulaw": ("ULAW", "FILE"),
    "alaw": ("ALAW", "FILE"),
}


@dataclass(frozen=True)
class RawAudio:
    """How samples without a header are written.

    Attributes:
        rate: frames a second.
        format: one of RAW_FORMATS.
        channels: interleaved.
    """

    rate: int
    format: str = "s16le"
    channels: int = 1

"""WAV and raw samples from a pipe, read while they are written: the stream may be endless.

Plain little-endian samples (integers of 8 to 32 bits, floats of 32 and 64) come in an order that needs no
look ahead. Everything else is copied to disk first (`sewcli.audio.spool`).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sewcli.audio.checks import damaged
from sewcli.audio.containers import is_audio_header, is_open_size
from sewcli.audio.dsp import Block, part
from sewcli.audio.native import NativeAudio
from sewcli.inputs.raw import RawAudio
from sewcli.inputs.source import Source

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_RAW = {
    "u8": (_PCM, 8),
    "s16le": (_PCM, 16),
    "s24le": (_PCM, 24),
    "s32le": (_PCM, 32),
    "f32le": (_FLOAT, 32),
    "f64le": (_FLOAT, 64),
}
#: of the field that tells the size of the samples
_SIZE_BYTES = 4
#: frames decoded at once, in seconds: what delay there may be
_BLOCK_SECONDS = 0.1


@dataclass(frozen=True)
class _Form:
    kind: int
    channels: int
    rate: int
    frame_bytes: int
    bits: int

    @property
    def is_plain(self) -> bool:
        sizes = (8, 16, 24, 32) if self.kind == _PCM else (32, 64) if self.kind == _FLOAT else ()
        return self.bits in sizes and self.channels > 0 and self.frame_bytes == self.channels * self.bits // 8


class Rest(io.RawIOBase):
    """Bytes that have been read from a stream, and then what is left of it."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """What a pipe holds, without waiting for more."""
        piece = self._head[: len(buffer)]
        if piece:
            self._head = self._head[len(piece) :]
        else:
            piece = getattr(self._stream, "read1", self._stream.read)(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def reading(name: str, stream: BinaryIO, source: Source) -> Iterator[NativeAudio | BinaryIO]:
    """The part of a stream that a source names.

    Returns:
        The audio; or, where it has no plain samples, the stream with nothing taken from it.
    """
    head = _Head(stream)
    found = head.wav() if source.raw is None else head.raw(source.raw)
    if found is None:
        yield io.BufferedReader(Rest(head.content, stream))
        return
    form, size = found
    if source.raw is not None:
        stream = io.BufferedReader(Rest(head.content, stream))
    blocks = part(_blocks(name, stream, form, size), form.rate, source.offset, source.duration)
    yield NativeAudio(form.rate, form.channels, None, blocks, librosa_reads_it=False)


class _Head:
    """Reads what stands before the samples, and remembers it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.content = b""

    def _take(self, count: int) -> bytes:
        piece = _exactly(self._stream, count)
        self.content += piece
        return piece

    def raw(self, raw: RawAudio) -> tuple[_Form, int] | None:
        """The form of samples without a header; None where there seems to be one, or they are not plain."""
        if is_audio_header(self._take(8)):
            return None  # which is an error, told where files are read
        kind, bits = _RAW.get(raw.format, (0, 0))
        form = _Form(kind, raw.channels, raw.rate, raw.channels * bits // 8, bits)
        return (form, 0) if form.is_plain else None

    def wav(self) -> tuple[_Form, int] | None:
        """The form of the samples and their announced bytes; None where this is not plain WAV."""
        if self._take(12)[:4] != b"RIFF" or self.content[8:12] != b"WAVE":
            return None
        form = None
        while len(header := self._take(8)) == 8:
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                return None if form is None or not form.is_plain else (form, size)
            if size > 1 << 20:  # no chunk before the samples is that long
                return None
            body = self._take(size + size % 2)
            if name == b"fmt " and len(body) >= 16:
                kind, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
                if kind == _EXTENSIBLE and len(body) >= 26:
                    kind = struct.unpack("<H", body[24:26])[0]
                form = _Form(kind, channels, rate, frame_bytes, bits)
        return None


def _exactly(stream: BinaryIO, count: int) -> bytes:
    """So many bytes, or fewer at the end of the stream."""
    parts = []
    while count and (piece := stream.read(count)):
        parts.append(piece)
        count -= len(piece)
    return b"".join(parts)


def _blocks(name: str, stream: BinaryIO, form: _Form, size: int) -> Iterator[Block]:
    left = None if is_open_size(size, _SIZE_BYTES) else size
    step = max(1, round(form.rate * _BLOCK_SECONDS)) * form.frame_bytes
    while left is None or left >= form.frame_bytes:
        content = _exactly(stream, step if left is None else min(step, left))
        whole = len(content) // form.frame_bytes * form.frame_bytes
        if whole:
            yield _samples(content[:whole], form).reshape(-1, form.channels)
        if left is not None:
            left -= len(content)
        if len(content) < step:
            break
    if left is not None and left >= form.frame_bytes:
        raise damaged(name, f"the header announces {size} bytes of samples, the last {left} are missing")


def _samples(content: bytes, form: _Form) -> Block:
    """Little-endian samples as floats of full scale 1, as libsndfile gives them."""
    values: NDArray[np.float64]
    if form.kind == _FLOAT:
        values = np.frombuffer(content, dtype=f"<f{form.bits // 8}").astype(np.float64)
    elif form.bits == 8:
        values = (np.frombuffer(content, dtype=np.uint8).astype(np.float64) - 128) / 128
    elif form.bits == 24:
        wide = np.zeros((len(content) // 3, 4), dtype=np.uint8)
        wide[:, 1:] = np.frombuffer(content, dtype=np.uint8).reshape(-1, 3)
        values = wide.view("<i4")[:, 0] / 2.0**31
    else:
        values = np.frombuffer(content, dtype=f"<i{form.bits // 8}") / 2.0 ** (form.bits - 1)
    samples: Block = values.astype(np.float32)
    return samples

"""Cutting, mixing to mono and resampling of a stream of blocks, with the results of librosa.load.

librosa.load(path, sr=16000, mono=True) averages the channels in float32, resamples with soxr at quality HQ
and pads or trims the result to ceil(samples * 16000 / rate). The same libraries do the same here, only
with a state that is carried from block to block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import soxr

from sewcli.chunking import SAMPLE_RATE

Block = npt.NDArray[np.float32]

_BLOCK_SECONDS = 2
_BLOCK_VALUES = 1 << 21


def block_frames(rate: int, channels: int) -> int:
    """How many frames to decode at once: 2 s, and 8 MiB of float32 at the most."""
    return max(1, min(rate * _BLOCK_SECONDS, _BLOCK_VALUES // channels))


def frames_in(seconds: float, rate: int) -> int:
    """Whole frames in a time, rounded down as librosa does, and never too large for a file position."""
    return int(min(seconds * rate, 1 << 62))


def cut(blocks: Iterable[Block], start: int, count: int | None) -> Iterator[Block]:
    """Yield the frames [start, start + count) of a stream of blocks of shape (frames, ...)."""
    stop = None if count is None else start + count
    position = 0
    for block in blocks:
        first = max(0, start - position)
        last = len(block) if stop is None else min(len(block), stop - position)
        if first < last:
            yield block[first:last]
        position += len(block)
        if stop is not None and position >= stop:
            return


def part(blocks: Iterable[Block], rate: int, offset: float, duration: float | None) -> Iterator[Block]:
    """Yield the frames of [offset, offset + duration), in seconds, of a stream of so many frames a second."""
    return cut(blocks, frames_in(offset, rate), None if duration is None else frames_in(duration, rate))


def to_mono(block: Block) -> Block:
    """Average the channels of a block of shape (frames, channels), as librosa.to_mono does.

    Of two channels it is the same sum without numpy's reduction over two values at a time, which takes
    longer than to resample the result.
    """
    if block.shape[1] == 1:
        return block[:, 0]
    mono: Block
    if block.shape[1] == 2:
        mono = block[:, 0] + block[:, 1]
        mono *= np.float32(0.5)
    else:
        mono = np.mean(block.T, axis=(0,))
    return mono


def one_channel(blocks: Iterable[Block], channel: int) -> Iterator[Block]:
    """Keep one channel of blocks of shape (frames, channels), as shape (frames, 1)."""
    return (block[:, channel : channel + 1] for block in blocks)


def resample(blocks: Iterable[Block], rate: int) -> Iterator[Block]:
    """Resample 1-D blocks from rate to SAMPLE_RATE, with the samples of librosa.resample.

    Blocks that come out have other sizes than those that go in; together they hold
    ceil(samples * 16000 / rate) samples.
    """
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    taken = given = 0
    for block in blocks:
        out = stream.resample_chunk(np.ascontiguousarray(block))
        taken, given = taken + len(block), given + len(out)
        if len(out):
            yield out
    # The float product, not integers: it is how librosa rounds.
    missing = math.ceil(taken * (float(SAMPLE_RATE) / rate)) - given
    if missing > 0:
        rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)[:missing]
        yield np.pad(rest, (0, missing - len(rest)))

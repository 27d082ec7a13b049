"""Frames, pairs of frames and chunks: the arithmetic of SEW, on plain integers.

A SEW model reads 16 kHz samples through a stack of convolutions with a receptive field of 400
samples and a hop of 320, squeezes the frames in pairs (one encoder state per 40 ms) and upsamples
them again. Hence everything here:

    frames of n samples            F(n) = floor((n - 400) / 320) + 1      (0 below 400)
    frames that are predictions    K(n) = 2 floor(F(n) / 2)

When F is odd the last frame has no partner: the model pads it with zeros and its logits are the
bias of the head alone. Such a frame is no prediction and is never kept.

A long recording is cut into chunks that start on multiples of one pair (640 samples), so that
every chunk sees the same pairs as the whole, and overlap by a stride on each side whose frames
serve as context only. The frames that are kept abut exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

SAMPLE_RATE = 16_000
RECEPTIVE_FIELD = 400
HOP = 320
PAIR = 2
PAIR_SAMPLES = PAIR * HOP
#: the least a model can read: two frames, one encoder state
MIN_SAMPLES = RECEPTIVE_FIELD + HOP
#: defaults in seconds; docs/chunks.md has the error rates they were chosen by
DEFAULT_CHUNK = 20.0
DEFAULT_STRIDE = 1.0
#: more than any recording lasts, and few enough for samples to be counted
_MOST_SECONDS = 1e9
FRAME_SECONDS = HOP / SAMPLE_RATE
#: of a state of the encoder, one for a pair of frames
STATE_SECONDS = PAIR * FRAME_SECONDS


def frame_count(samples: int) -> int:
    """Number of frames F(n) that `samples` samples give, odd last frame included."""
    return 0 if samples < RECEPTIVE_FIELD else (samples - RECEPTIVE_FIELD) // HOP + 1


def kept_frame_count(samples: int) -> int:
    """Number of frames K(n) that are predictions: the odd last frame is not."""
    return frame_count(samples) // PAIR * PAIR


def samples_for_frames(frames: int) -> int:
    """Smallest number of samples that gives `frames` frames."""
    return 0 if frames <= 0 else (frames - 1) * HOP + RECEPTIVE_FIELD


def frame_start(frame: int) -> float:
    """Time in seconds at which frame `frame` of a recording begins."""
    return frame * HOP / SAMPLE_RATE


def frame_end(frame: int) -> float:
    """Time in seconds at which frame `frame` ends and the next one begins."""
    return (frame + 1) * HOP / SAMPLE_RATE


@dataclass(frozen=True)
class Chunk:
    """One piece of a recording for the network.

    Attributes:
        start, stop: the samples to read, as a half-open range; start is a multiple of 640.
        keep_from, keep_to: the frames of the chunk's own output to keep, as a half-open range.
        first_frame: index in the recording of the first kept frame.
        skipped: frames before it that are not run, because they are silence.
    """

    start: int
    stop: int
    keep_from: int
    keep_to: int
    first_frame: int
    skipped: int = 0

    @property
    def samples(self) -> int:
        """Number of samples to read."""
        return self.stop - self.start

    @property
    def kept(self) -> int:
        """Number of frames kept."""
        return self.keep_to - self.keep_from


@dataclass(frozen=True)
class ChunkPlan:
    """How recordings are cut: `chunk` samples at a time, `stride` of them context on each side.

    Both are multiples of 640 samples and chunk > 2 stride, so that every chunk brings new frames.
    A recording no longer than `chunk` is one piece. Use `from_seconds` to round to valid values.
    """

    chunk: int
    stride: int

    def __post_init__(self) -> None:
        """Refuse values that would break the pairing or never advance (ValueError)."""
        if self.chunk % PAIR_SAMPLES or self.stride % PAIR_SAMPLES:
            raise ValueError(f"chunk and stride are multiples of {PAIR_SAMPLES} samples, one pair of frames")
        if self.stride < 0 or self.chunk - 2 * self.stride < PAIR_SAMPLES:
            raise ValueError("a chunk, in whole states of 40 ms, must be longer than its two strides by one")

    @classmethod
    def from_seconds(cls, chunk: float, stride: float) -> ChunkPlan:
        """Plan with both lengths rounded to the nearest pair of frames; ValueError as for the class."""
        if not (abs(chunk) < _MOST_SECONDS and abs(stride) < _MOST_SECONDS):
            raise ValueError("chunk and stride are numbers of seconds")
        return cls(
            *(round(seconds * SAMPLE_RATE / PAIR_SAMPLES) * PAIR_SAMPLES for seconds in (chunk, stride))
        )

    @property
    def chunk_seconds(self) -> float:
        """Length of a chunk in seconds."""
        return self.chunk / SAMPLE_RATE

    @property
    def stride_seconds(self) -> float:
        """Length of the context on each side in seconds."""
        return self.stride / SAMPLE_RATE

    def chunks_of(self, pieces: Sequence[tuple[int, int]]) -> Iterator[Chunk]:
        """Cut the pieces of a recording, each on its own.

        Args:
            pieces: half-open ranges of samples, in order, each beginning on a multiple of 640.
        """
        done = 0
        for start, stop in pieces:
            before = start // HOP
            for chunk in self.chunks(stop - start):
                first = before + chunk.first_frame
                yield replace(
                    chunk,
                    start=start + chunk.start,
                    stop=start + chunk.stop,
                    first_frame=first,
                    skipped=first - done,
                )
                done = first + chunk.kept

    def chunks(self, samples: int) -> Iterator[Chunk]:
        """Cut a recording of `samples` samples; the kept frames are 0 ... K(samples) - 1, in order.

        A chunk of `chunk` samples would give chunk / 320 - 1 frames, an odd number; so every chunk
        but the last reads the 80 samples more that complete its last pair. The last chunk ends with
        the recording, its odd last frame included as context. It reaches back far enough to hold
        half a chunk: a tail of a few frames alone would be heard without context.
        """
        total = kept_frame_count(samples)
        length, context = self.chunk // HOP, self.stride // HOP
        least = length // 2 // PAIR * PAIR
        kept = 0
        while kept < total:
            first = max(0, kept - context)
            last = first + length >= total
            if last:
                first = max(0, min(first, total - least))
            keep_end = total if last else first + length - context
            stop = samples if last else (first + length) * HOP + RECEPTIVE_FIELD - HOP
            yield Chunk(first * HOP, stop, kept - first, keep_end - first, kept)
            kept = keep_end

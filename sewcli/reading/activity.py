"""Speech activity by level: which long silences of a recording need not go through the network.

Levels are those of frames of 20 ms. The noise floor is the level that a tenth of all frames stay below.
Speech begins where a frame is `threshold` dB above the floor, and reaches as far on both sides as frames
stay above half of that (hysteresis: soft beginnings and ends of words are kept). Silences shorter than
`silence` stay, and of longer ones `padding` on each side.

A recording whose loudest half second is not `threshold` above the floor tells nothing by its levels, as
steady noise does, and is kept as it is; one that is quieter than QUIET throughout is silence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import HOP as FRAME
from sewcli.chunking import PAIR, PAIR_SAMPLES, RECEPTIVE_FIELD, SAMPLE_RATE
from sewcli.reading.activity_options import ActivityOptions

#: dB of full scale; no recording of speech is that quiet
QUIET = -75.0
#: levels are kept in steps of half a dB from here up, a byte each: 180 kB an hour
_LOWEST = -120.0
_STEPS = 2
#: the floor is looked for no deeper than this below the loud parts, where digital silence would be it
_DEEPEST = 50.0
#: frames that the loud parts have together
_LOUD_FRAMES = 25
#: a click is shorter than any sound of speech
_LEAST_FRAMES = 2


class LevelMeter:
    """Takes the levels of a recording as its blocks pass."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, dtype=np.float32)
        self._levels = bytearray()

    def update(self, block: NDArray[np.float32]) -> None:
        """Take in the next samples, shape (n,)."""
        samples = np.concatenate([self._rest, block])
        whole = samples.size // FRAME * FRAME
        self._add(samples[:whole].reshape(-1, FRAME))
        self._rest = samples[whole:].copy()

    def _add(self, frames: NDArray[np.float32]) -> None:
        if frames.size:
            power = np.var(frames, axis=1, dtype=np.float64)
            level = 10 * np.log10(np.maximum(power, 1e-12))
            self._levels += np.clip(np.round((level - _LOWEST) * _STEPS), 0, 255).astype(np.uint8).tobytes()

    def finish(self) -> NDArray[np.float32]:
        """The levels in dB of full scale, one each 20 ms, the last of what is left, shape (n,)."""
        if self._rest.size:
            self._add(self._rest[None])
            self._rest = self._rest[:0]
        return np.frombuffer(bytes(self._levels), dtype=np.uint8).astype(np.float32) / _STEPS + _LOWEST


def active(levels: NDArray[np.float32], options: ActivityOptions) -> list[tuple[int, int]]:
    """The stretches to keep, as half-open ranges of frames, in order and apart.

    Args:
        levels: dB, shape (n,), n >= 1.
        options: see `ActivityOptions`.
    """
    count = levels.size
    loud = float(np.partition(levels, -_loud_frames(count))[-_loud_frames(count)])
    if loud < QUIET:
        return []
    floor = max(float(np.percentile(levels, 10)), loud - _DEEPEST, _LOWEST)
    if loud < floor + options.threshold:
        return [(0, count)]
    runs = [
        (first, stop)
        for first, stop in _runs(levels >= floor + options.threshold / 2)
        if np.count_nonzero(levels[first:stop] >= floor + options.threshold) >= _LEAST_FRAMES
    ]
    padding = round(options.padding * SAMPLE_RATE / FRAME)
    longest = options.silence * SAMPLE_RATE / FRAME
    gaps: list[tuple[int, int]] = []
    # a silence at either end counts as one between words
    edges = [0, *(edge for run in runs for edge in run), count]
    for silence_from, silence_to in zip(edges[::2], edges[1::2], strict=True):
        if silence_to - silence_from < longest:
            continue
        start = silence_from + padding if silence_from else 0
        stop = silence_to - padding if silence_to < count else count
        gaps.append((start, stop))
    bounds = [0, *(edge for gap in gaps for edge in gap), count]
    return [(first, stop) for first, stop in zip(bounds[::2], bounds[1::2], strict=True) if first < stop]


def _loud_frames(count: int) -> int:
    return max(1, min(_LOUD_FRAMES, count // 10))


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The half-open ranges in which a mask holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def pieces(kept: list[tuple[int, int]], samples: int) -> list[tuple[int, int]]:
    """The samples to read for stretches to keep, each made of whole pairs of frames of the whole recording.

    Args:
        kept: half-open ranges of frames, in order.
        samples: of the recording.

    Returns:
        Half-open ranges of samples. They start on multiples of 640; all but one that ends with the recording
        hold the 80 samples more that complete their last pair.
    """
    made: list[list[int]] = []
    for first, stop in kept:
        start, end = first // PAIR, -(-stop // PAIR)
        if made and start <= made[-1][1]:
            made[-1][1] = end
        else:
            made.append([start, end])
    more = RECEPTIVE_FIELD - FRAME
    return [
        (start * PAIR_SAMPLES, min(samples, end * PAIR_SAMPLES + more))
        for start, end in made
        if start * PAIR_SAMPLES < samples
    ]

"""Forced alignment: where in the frames a known sequence of tokens was said.

The best path through the CTC lattice of Graves et al. 2006 (section 4.1, with the maximum in place of the
sum). The lattice of tokens l_0 ... l_{N-1} has the states b_0 l_0 b_1 l_1 ... b_N, a blank before, between
and after them. With e the log-posteriors of frame t, and every frame one state:

    b_i(t) = max(b_i, l_{i-1})(t-1) + e[blank]
    l_i(t) = max(l_i, b_i, l_{i-1} if l_i != l_{i-1})(t-1) + e[l_i]

All states of a frame are computed at once, as pairs (b_i, l_i). Which choice was the best is kept as three
bits a pair, in memory while they are few and in a temporary file when they are many.

Up to EXACT_FRAMES every state that can lie on a path is computed. In longer recordings only a band of pairs
is, around the token expected at each frame; the band is widened, and the search repeated, until the path
stays in its inner half: if the true path lies outside the band, the best one inside need not touch the edge,
but it does leave the inner half. In the end the band is the whole lattice, so a path that is there is found.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sewcli.errors import InputError
from sewcli.temporary import no_room

#: ten minutes; longer recordings are searched in a band
EXACT_FRAMES = 30_000
#: tokens on each side of the expected one, to begin with: some five minutes of speech
HALF_BAND = 4096
#: by how much a band that is too narrow is widened
_WIDER = 4
#: choices kept in memory before they move to a temporary file
_MEMORY_BYTES = 16 << 20
_FRAMES_READ = 2048


def align(
    log_posteriors: NDArray[np.float32],
    tokens: Sequence[int],
    blank: int,
    *,
    exact_frames: int = EXACT_FRAMES,
    half_band: int = HALF_BAND,
) -> list[tuple[int, int, float]]:
    """The most probable CTC path through `tokens`.

    Args:
        log_posteriors: shape (T, V), in memory or mapped from a file.
        tokens: ids to align, blanks not among them.
        blank: id of the CTC blank.
        exact_frames: the longest recording that is searched without a band.
        half_band: tokens on each side of the expected one that a band begins with.

    Returns:
        For each token its first and last frame and the sum of its frames' log-posteriors. The frames of a
        token come after those of the token before.

    Raises:
        ValueError: the tokens do not fit T frames (each takes one, and equal neighbours need a
            blank between them).
        InputError: there is no room for the temporary file.
    """
    frames = log_posteriors.shape[0]
    if not tokens:
        return []
    if frames < frames_needed(tokens):
        raise ValueError(f"{len(tokens)} tokens do not fit {frames} frames")
    path = np.append(np.asarray(tokens, dtype=np.intp), blank)  # the last pair is a blank alone
    if frames <= exact_frames:
        half_band = path.size
    expected = None if half_band >= path.size else _expected(log_posteriors, path.size, blank)
    while True:
        band = _Band.of(frames, path.size, expected, half_band)
        moves = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, prefix="sew-alignment-")  # noqa: SIM115
        try:
            states = _search(log_posteriors, path, blank, band, moves)
        finally:
            with suppress(OSError):  # no room for what nobody wants any more
                moves.close()
        if half_band >= path.size or (states is not None and not band.is_touched(states)):
            break
        half_band *= _WIDER
    if states is None:
        raise ValueError("a token has no probability in any frame")
    return _spans(log_posteriors, path, states)


def frames_needed(tokens: Sequence[int]) -> int:
    """The fewest frames that can hold the tokens: one each, and a blank between equal neighbours."""
    return len(tokens) + sum(left == right for left, right in itertools.pairwise(tokens))


@dataclass(frozen=True)
class _Band:
    """The pairs that are computed: low[t] <= i < high[t] at frame t.

    Attributes:
        low, high: (T,) int64; low never decreases.
        margin: a path nearer than this to an edge is not trusted.
        limit_low, limit_high: the same for the pairs that can lie on any path at all.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    margin: int
    limit_low: NDArray[np.int64]
    limit_high: NDArray[np.int64]

    @classmethod
    def of(cls, frames: int, pairs: int, expected: NDArray[np.int64] | None, half_band: int) -> _Band:
        """So many pairs on each side of the expected ones, (T,); without them all that can be reached."""
        frame = np.arange(frames)
        # a frame moves on by one token at the most, and the last token must still be reached
        limit_low = np.maximum(0, pairs - 1 - frames + frame)
        limit_high = np.minimum(pairs, frame + 1)
        if expected is None or half_band >= pairs:
            return cls(limit_low, limit_high, 0, limit_low, limit_high)
        low = np.clip(expected - half_band, limit_low, limit_high - 1)
        high = np.clip(expected + half_band, limit_low + 1, limit_high)
        return cls(low, np.maximum(low + 1, high), half_band // 2, limit_low, limit_high)

    @property
    def row_bytes(self) -> NDArray[np.int64]:
        """Bytes of one third of each row of choices, (T,)."""
        rounded: NDArray[np.int64] = (self.high - self.low + 7) // 8
        return rounded

    def is_touched(self, states: NDArray[np.int64]) -> bool:
        """Whether a path, as states (T,), comes near an edge beyond which there are other states."""
        pairs = states // 2
        below = (pairs < self.low + self.margin) & (self.low > self.limit_low)
        above = (pairs >= self.high - self.margin) & (self.high < self.limit_high)
        return bool((below | above).any())


def _expected(log_posteriors: NDArray[np.float32], pairs: int, blank: int) -> NDArray[np.int64]:
    """The pair expected at each frame, (T,): text passes where the network hears something, not in pauses."""
    heard = 1.0 - np.exp(log_posteriors[:, blank].astype(np.float64))
    # a recording in which nothing is heard is passed at an even pace
    passed = np.cumsum(heard + 1e-6)
    expected: NDArray[np.int64] = (passed / passed[-1] * (pairs - 1)).astype(np.int64)
    return expected


def _search(
    log_posteriors: NDArray[np.float32],
    path: NDArray[np.intp],
    blank: int,
    band: _Band,
    moves: tempfile.SpooledTemporaryFile[bytes],
) -> NDArray[np.int64] | None:
    """The best path within a band: the state of each frame, (T,); b_i is 2 i, l_i is 2 i + 1.

    Args:
        log_posteriors: shape (T, V).
        path: the tokens and one more that is never reached.
        blank: id of the CTC blank.
        band: the pairs to compute.
        moves: an empty file for the choices.

    Returns:
        None where no path leads through the band.
    """
    blanks = np.full(path.size, -math.inf)
    # a place in front, so that l_{i-1} is there for every i
    letters = np.full(path.size + 1, -math.inf)
    blanks[0] = 0.0
    no_skip = np.zeros(path.size)
    no_skip[1:][path[1:] == path[:-1]] = -math.inf
    widest = int((band.high - band.low).max())
    best, other, choice = np.empty(widest), np.empty(widest), np.empty((3, widest), dtype=bool)
    lows, highs = band.low.tolist(), band.high.tolist()
    dropped = 0
    for block_start in range(0, len(lows), _FRAMES_READ):
        block = np.asarray(log_posteriors[block_start : block_start + _FRAMES_READ], dtype=np.float64)
        rows = []
        for frame, emissions in enumerate(block, start=block_start):
            low, high = lows[frame], highs[frame]
            size = high - low
            b, previous, current = blanks[low:high], letters[low:high], letters[low + 1 : high + 1]
            top, skip, bits = best[:size], other[:size], choice[:, :size]
            np.greater(b, current, out=bits[0])
            np.maximum(b, current, out=top)
            np.add(previous, no_skip[low:high], out=skip)
            np.greater(skip, top, out=bits[1])
            np.maximum(skip, top, out=top)
            np.greater(previous, b, out=bits[2])
            np.maximum(previous, b, out=b)
            b += emissions[blank]
            emissions.take(path[low:high], out=skip)
            np.add(top, skip, out=current)
            rows.append(np.packbits(bits, axis=1).tobytes())
            # what the band has left behind must not come back as if it were of the last frame
            if low > dropped:
                blanks[dropped:low] = -math.inf
                letters[dropped + 1 : low + 1] = -math.inf
                dropped = low
        _keep(moves, b"".join(rows))
    last = path.size - 1
    state = 2 * last if blanks[last] >= letters[last] else 2 * last - 1
    if not math.isfinite(max(blanks[last], letters[last])):
        return None
    return _traced(moves, band, state)


def _traced(moves: tempfile.SpooledTemporaryFile[bytes], band: _Band, state: int) -> NDArray[np.int64]:
    """Follow the choices back from the state of the last frame; the state of each frame, (T,)."""
    lows, sizes = band.low.tolist(), band.row_bytes.tolist()
    starts = np.concatenate([[0], np.cumsum(3 * band.row_bytes)]).tolist()
    states = np.empty(len(lows), dtype=np.int64)
    for stop in range(len(lows), 0, -_FRAMES_READ):
        first = max(0, stop - _FRAMES_READ)
        moves.seek(starts[first])
        block = moves.read(starts[stop] - starts[first])
        for frame in range(stop - 1, first - 1, -1):
            states[frame] = state
            pair, is_letter = divmod(state, 2)
            byte, bit = divmod(pair - lows[frame], 8)
            row, mask = starts[frame] - starts[first] + byte, 0x80 >> bit
            if not is_letter:
                state -= bool(block[row + 2 * sizes[frame]] & mask)
            elif block[row + sizes[frame]] & mask:
                state -= 2
            elif block[row] & mask:
                state -= 1
    return states


def _keep(moves: tempfile.SpooledTemporaryFile[bytes], content: bytes) -> None:
    try:
        moves.write(content)
        moves.flush()  # where it fails, it is told here and not by a later seek
    except OSError as error:
        hint = "set TMPDIR to a directory with 1 GB for each hour of audio"
        raise no_room(InputError, "the alignment", error, hint) from error


def _spans(
    log_posteriors: NDArray[np.float32], path: NDArray[np.intp], states: NDArray[np.int64]
) -> list[tuple[int, int, float]]:
    """First frame, last frame and sum of the log-posteriors of each token; states never decrease."""
    said = np.flatnonzero(states % 2)
    numbers = states[said] // 2
    scores = np.concatenate(
        [
            log_posteriors[said[start : start + _FRAMES_READ], path[numbers[start : start + _FRAMES_READ]]]
            for start in range(0, said.size, _FRAMES_READ)
        ]
    ).astype(np.float64)
    first = np.flatnonzero(np.diff(numbers, prepend=-1))
    last = np.append(first[1:], said.size) - 1
    totals = np.add.reduceat(scores, first)
    return list(zip(said[first].tolist(), said[last].tolist(), totals.tolist(), strict=True))

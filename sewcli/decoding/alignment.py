"""Forced alignment: where in the frames a known sequence of tokens was said."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def align(log_posteriors: NDArray[np.float32], tokens: list[int], blank: int) -> list[tuple[int, int, float]]:
    """The most probable CTC path through `tokens` (Viterbi over blanks and tokens).

    Args:
        log_posteriors: shape (T, V).
        tokens: ids to align, blanks not among them.
        blank: id of the CTC blank.

    Returns:
        For each token its first and last frame and the sum of its frames' log-posteriors.

    Raises:
        ValueError: the tokens do not fit T frames (each takes one, and equal neighbours need a
            blank between them).
    """
    frames = log_posteriors.shape[0]
    path = np.full(2 * len(tokens) + 1, blank)
    path[1::2] = tokens
    emissions = log_posteriors[:, path]
    # a token may be entered past the blank before it, unless it equals the token before that
    may_skip = np.zeros(path.size, dtype=bool)
    may_skip[3::2] = path[3::2] != path[1:-2:2]
    score = np.full(path.size, -np.inf)
    score[:2] = emissions[0, :2]
    steps = np.zeros((frames, path.size), dtype=np.int8)
    for frame in range(1, frames):
        stay = score
        move = np.concatenate([[-np.inf], score[:-1]])
        skip = np.where(may_skip, np.concatenate([[-np.inf, -np.inf], score[:-2]])[: path.size], -np.inf)
        choices = np.stack([stay, move, skip])
        steps[frame] = choices.argmax(axis=0)
        score = choices.max(axis=0) + emissions[frame]
    place = path.size - 1 if score[-1] >= score[-2:][0] else path.size - 2
    if not np.isfinite(score[place]):
        raise ValueError(f"{len(tokens)} tokens do not fit {frames} frames")
    spans = [[frames, -1, 0.0] for _ in tokens]
    for frame in range(frames - 1, -1, -1):
        if place % 2:
            span = spans[place // 2]
            span[0], span[1] = frame, max(span[1], frame)
            span[2] += float(emissions[frame, place])
        place -= int(steps[frame, place])
    return [(int(first), int(last), float(total)) for first, last, total in spans]

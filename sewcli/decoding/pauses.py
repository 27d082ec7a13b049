"""Silence that was not run, for decoders that know nothing of it: a short pause in its place."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sewcli.decoding.hypothesis import Hypothesis
from sewcli.decoding.vocabulary import Vocabulary

if TYPE_CHECKING:
    from sewcli.decoding.decoders import Decoder

#: frames of a pause: blank, end of a word, blank
_FRAMES = 3
#: the logit of what a frame of a pause is, all others being 0: certain to float32
_CERTAIN = 100.0
#: the logit of blank in the middle of a pause: far below the end of a word, and far above any letter,
#: of which none may be found there where no word ends
_NOTHING = 70.0


class PausingDecoder:
    """A decoder that is told of skipped frames.

    It sees a pause of three frames in their place, which ends a word; tokens get the frames of the recording
    back at the end.

    Args:
        decoder: of one recording.
        vocabulary: of the model.
    """

    def __init__(self, decoder: Decoder, vocabulary: Vocabulary) -> None:
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._pushed = 0
        #: from which frame of the decoder on so many frames more have passed in the recording
        self._from = [0]
        self._missing = [0]

    def push(self, logits: NDArray[np.float32]) -> None:
        """Take in the logits of the next frames, shape (T, V)."""
        self._decoder.push(logits)
        self._pushed += logits.shape[0]

    def skip(self, frames: int) -> None:
        """Take note of frames that were not run, one or more."""
        rows = min(frames, _FRAMES)
        pause = np.zeros((rows, len(self._vocabulary.tokens)), dtype=np.float32)
        pause[:, self._vocabulary.blank] = _CERTAIN
        if self._pushed and rows == _FRAMES and self._vocabulary.delimiter is not None:
            pause[1, self._vocabulary.blank] = _NOTHING
            pause[1, self._vocabulary.delimiter] = _CERTAIN
        self.push(pause)
        self._from.append(self._pushed)
        self._missing.append(self._missing[-1] + frames - rows)

    def finish(self) -> Hypothesis:
        """The transcript of all frames so far."""
        hypothesis = self._decoder.finish()
        tokens = (
            token._replace(first=self._frame(token.first), last=self._frame(token.last))
            for token in hypothesis.tokens
        )
        return replace(hypothesis, tokens=tuple(tokens))

    def _frame(self, frame: int) -> int:
        return frame + self._missing[bisect_right(self._from, frame) - 1]

    def close(self) -> None:
        """Give the decoder's resources back."""
        self._decoder.close()

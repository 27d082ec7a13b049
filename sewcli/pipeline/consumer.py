"""What takes the outputs of the network, recording by recording."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sewcli.reading.recording import Recording

ResultT_co = TypeVar("ResultT_co", covariant=True)


class Consumer(Protocol[ResultT_co]):
    """Takes the outputs of one recording's chunks, in order, and makes a result of them."""

    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the output of the next chunk: kept frames (T, V), or label logits (labels,)."""

    def result(self, recording: Recording) -> ResultT_co:
        """The result, once every chunk has been pushed."""

    def close(self) -> None:
        """Give resources back."""


@runtime_checkable
class SkipsSilence(Protocol):
    """A consumer that can do without the outputs of silence."""

    def skip(self, frames: int) -> None:
        """Take note that so many frames are silence and were not run."""

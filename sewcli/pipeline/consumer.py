"""What takes the outputs of the network, recording by recording."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import Chunk
from sewcli.reading.recording import Recording

ResultT_co = TypeVar("ResultT_co", covariant=True)


class Consumer(ABC, Generic[ResultT_co]):
    """Takes the outputs of one recording's chunks, in order, and makes a result of them."""

    @abstractmethod
    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the output of the next chunk: kept frames (T, V), or label logits (labels,)."""

    @abstractmethod
    def result(self, recording: Recording) -> ResultT_co:
        """The result, once every chunk has been pushed."""

    def skip(self, frames: int) -> None:
        """Take note that so many frames are silence and were not run.

        Raises:
            TypeError: the result needs the outputs of all frames.
        """
        raise TypeError(f"{type(self).__name__} needs all frames, and {frames} were left out")

    def attend(self, weights: NDArray[np.float32], chunk: Chunk) -> None:  # noqa: ARG002
        """Take in the attentions of the next chunk, shape (layers, heads, states, states), before its output.

        They are there where the model gives them (`sewcli.acoustic.model.Attending`).
        """
        return  # most have no use for them

    def pass_over(self) -> None:
        """Take note that the output of the next chunk is of no use: the recording has failed."""
        return  # most need not know

    @abstractmethod
    def close(self) -> None:
        """Give resources back."""

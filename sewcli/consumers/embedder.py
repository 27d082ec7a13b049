"""Hidden states and attentions of one recording, collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import FRAME_SECONDS, PAIR, PAIR_SAMPLES, STATE_SECONDS, Chunk
from sewcli.decoding.frames import FrameFile
from sewcli.pipeline.consumer import Consumer
from sewcli.reading.recording import Recording
from sewcli.results import Attention, Embedding, ModelInfo


@dataclass
class Embedder(Consumer[Embedding]):
    """Consumer that collects the hidden states of one recording.

    Attributes:
        columns: width of a state.
        layer: number of the hidden layer, whose states come twice, once for each frame; None for
            last_hidden_state.
        pool: "none" or "mean" (over time).
        model: that makes the states.
        settings: all that can change the values, for the record.
        attentions: collect these too.
    """

    columns: int
    layer: int | None
    pool: str
    model: ModelInfo
    settings: Mapping[str, Any]
    attentions: bool = False
    _states: FrameFile | None = field(init=False)
    _sum: NDArray[np.float64] = field(init=False)
    _count: int = 0
    _attentions: AttentionFile | None = field(init=False)

    def __post_init__(self) -> None:
        """Open the temporary files, if any are needed."""
        self._states = FrameFile(self.columns) if self.pool == "none" else None
        self._sum = np.zeros(self.columns)
        self._attentions = AttentionFile() if self.attentions else None

    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the states of the kept frames of the next chunk, shape (T, hidden)."""
        states = output if self.layer is None else output[::PAIR]
        if self._states is not None:
            self._states.append(states)
        else:
            self._sum += states.sum(axis=0, dtype=np.float64)
            self._count += states.shape[0]

    def attend(self, weights: NDArray[np.float32], chunk: Chunk) -> None:
        """Take in the attentions of the next chunk, shape (layers, heads, states, states)."""
        assert self._attentions is not None  # the network gives them where they are asked for
        self._attentions.append(weights, chunk)

    def result(self, recording: Recording) -> Embedding:
        """All states, or their mean."""
        pooled = self._states is None
        states = self._states.mapped() if self._states else (self._sum / self._count).astype(np.float32)
        step = FRAME_SECONDS if self.layer is None else STATE_SECONDS
        return Embedding(
            path=recording.source.path,
            duration=recording.duration,
            states=states,
            layer=self.layer,
            frame_seconds=None if pooled else step,
            model=self.model,
            settings=self.settings,
            offset=recording.source.part[0],
            channel=recording.source.channel,
            attentions=None if self._attentions is None else self._attentions.mapped(),
        )

    def close(self) -> None:
        """Give the temporary files back; values that are mapped from them stay."""
        for file in (self._states, self._attentions):
            if file is not None:
                file.close()


class AttentionFile:
    """The attentions of the chunks of one recording, in a temporary file: they can be larger than memory."""

    def __init__(self) -> None:
        self._values = FrameFile(1, "set TMPDIR to a larger directory, or use a shorter --chunk")
        self._places: list[tuple[tuple[int, ...], int, int]] = []

    def append(self, weights: NDArray[np.float32], chunk: Chunk) -> None:
        """Take in those of the next chunk, shape (layers, heads, states, states).

        The rows of its kept states stay, so that each state of the recording asks once; the columns are
        all states of the chunk.
        """
        kept = weights[:, :, chunk.keep_from // PAIR : chunk.keep_to // PAIR]
        for layer in kept:
            self._values.append(np.ascontiguousarray(layer).reshape(-1, 1))
        self._places.append((kept.shape, chunk.first_frame // PAIR, chunk.start // PAIR_SAMPLES))

    def mapped(self) -> tuple[Attention, ...]:
        """Those of all chunks; they stay readable after close()."""
        values, done, found = self._values.mapped().reshape(-1), 0, []
        for shape, first_query, first_key in self._places:
            size = int(np.prod(shape))
            found.append(Attention(values[done : done + size].reshape(shape), first_query, first_key))
            done += size
        return tuple(found)

    def close(self) -> None:
        """Give the file back."""
        self._values.close()

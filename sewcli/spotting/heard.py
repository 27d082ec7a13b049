"""Windows through the network: their scores, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.in_order import InOrder
from sewcli.acoustic.model import AcousticModel, Segment, check_finite
from sewcli.consumers.classifier import probabilities
from sewcli.errors import InputError
from sewcli.spotting.smoothing import Scores
from sewcli.spotting.windows import Window

#: windows that wait for a batch to be full, silent ones among them
_MOST_WAITING = 256

#: centre of each window, and what the network hears of it
_Windows = list[tuple[float, Segment | None]]


class WindowScores:
    """Has windows run in batches, several under way, and gives back their scores as they come.

    Args:
        model: a classification network.
        name: of the input, for messages.
        rows: windows in one batch.
        live: give the scores of each window at once, and never look ahead.
    """

    def __init__(self, model: AcousticModel, name: str, rows: int, *, live: bool) -> None:
        self._name = name
        self._silent = np.zeros(len(model.labels))
        self._most_rows, self._live = rows, live
        self._waiting: _Windows = []
        self._rows = 0
        self._scored: list[Scores] = []
        #: told once the scores before it are given
        self._failed: InputError | None = None
        self._batches: InOrder[_Windows] = InOrder(model, self._score)

    def push(self, window: Window, segment: Segment | None) -> Iterator[Scores]:
        """Take in the next window; yield the scores that have come since.

        Args:
            window: the next one.
            segment: it for the network; None where it is silent, which scores 0.

        Raises:
            DeviceError: the memory is not enough for one window.
            InputError: the network gives no numbers for one.
        """
        self._waiting.append((window.centre, segment))
        self._rows += segment is not None
        # silent windows alone: there may be nothing to wait for
        full = self._rows >= self._most_rows if self._rows else self._batches.idle
        if full or len(self._waiting) >= _MOST_WAITING:
            self._run()
        yield from self._taken()

    def finish(self) -> Iterator[Scores]:
        """Yield the scores of all that is left (DeviceError and InputError as `push`)."""
        if self._failed is None:
            self._run()
            self._batches.flush()
        yield from self._taken()

    def drain(self) -> Iterator[Scores]:
        """Yield the scores of what was begun before a batch that went wrong."""
        self._batches.drain()
        self._failed = None  # what went wrong is known
        yield from self._taken()

    def close(self) -> None:
        """Give up what has not begun."""
        self._batches.close()

    def _taken(self) -> Iterator[Scores]:
        scored, self._scored = self._scored, []
        yield from scored
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        windows, self._waiting, self._rows = self._waiting, [], 0
        segments = [segment for _, segment in windows if segment is not None]
        if segments:
            self._batches.run(windows, segments)
        if self._live or not segments:
            self._batches.flush()
        if not segments:
            self._score(windows, [])

    def _score(self, windows: _Windows, outputs: Sequence[NDArray[np.float32]]) -> None:
        """Of fewer outputs than segments, where something went wrong within the batch, up to there."""
        ready = iter(outputs)
        for centre, segment in windows:
            if self._failed is not None:
                return
            if segment is None:
                values = self._silent
            elif (output := next(ready, None)) is not None:
                try:
                    check_finite(self._name, output)
                except InputError as error:
                    self._failed = error
                    return
                values = probabilities(output)
            else:
                return
            self._scored.append(Scores(centre, values))

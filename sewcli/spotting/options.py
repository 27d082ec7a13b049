"""What keyword spotting over long audio can be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sewcli.chunking import MIN_SAMPLES, SAMPLE_RATE
from sewcli.errors import UsageError

#: seconds; a window is one piece for the network
_LONGEST_WINDOW = 60.0


@dataclass(frozen=True)
class SpottingOptions:
    """How windows are cut, and how events are made of their scores.

    Attributes:
        window: seconds of a window.
        hop: seconds from one to the next.
        smooth: how many windows a score is the mean of.
        threshold: the least score of a hit, above 0 and up to 1.
        merge_gap: seconds without a hit that an event may hold.
        gate: dB of full scale; windows below are silence and not run.
        labels: the only ones that make events; all, where it is empty.
    """

    # docs/keyword-spotting.md has the measurements that the defaults were chosen by
    window: float = 1.0
    hop: float = 0.25
    smooth: int = 2
    threshold: float = 0.5
    merge_gap: float = 0.5
    gate: float = -60.0
    labels: Sequence[str] = ()

    def check(self) -> None:
        """Refuse what cannot work, before a model is loaded (UsageError)."""
        shortest = MIN_SAMPLES / SAMPLE_RATE
        if not shortest <= self.window <= _LONGEST_WINDOW:
            raise UsageError(
                f"a window of {self.window:g} s; {shortest:g} to {_LONGEST_WINDOW:g} s can be classified",
                hint="--window 1.0 is usual",
            )
        if not 0 < self.hop <= self.window or self.hop_samples < 1:
            raise UsageError(
                f"a hop of {self.hop:g} s; it must be above 0 and at most the window, {self.window:g} s",
                hint="a quarter of the window is usual",
            )
        if self.smooth < 1:
            raise UsageError(f"smooth {self.smooth}: a mean is over 1 window or more")
        if not 0 < self.threshold <= 1:
            raise UsageError(f"a threshold of {self.threshold:g}; scores lie between 0 and 1")
        if not (math.isfinite(self.merge_gap) and self.merge_gap >= 0):
            raise UsageError(f"a merge gap of {self.merge_gap:g} s; it must be a number of seconds from 0 up")
        if math.isnan(self.gate):
            raise UsageError("the gate is not a number of dB")

    @property
    def window_samples(self) -> int:
        """Samples of a window."""
        return round(self.window * SAMPLE_RATE)

    @property
    def hop_samples(self) -> int:
        """Samples from window to window."""
        return round(self.hop * SAMPLE_RATE)

    @property
    def gap_samples(self) -> int:
        """Samples without a hit that an event may hold."""
        return round(self.merge_gap * SAMPLE_RATE)

    def columns(self, labels: Sequence[str]) -> tuple[int, ...]:
        """The columns of the labels that make events; `_unknown_` and `_silence_` never do.

        Args:
            labels: of the model, in the order of its logits.

        Raises:
            UsageError: the model does not have one of those asked for, or it can never be an event.
        """
        events = {label: i for i, label in enumerate(labels) if label not in NO_EVENTS}
        for label in self.labels:
            if label not in events:
                reason = "is never an event" if label in NO_EVENTS else "is none of the model"
                raise UsageError(f"the label {label!r} {reason}", hint=f"it has {', '.join(sorted(events))}")
        return tuple(events[label] for label in self.labels) or tuple(events.values())

    def as_settings(self) -> dict[str, Any]:
        """All of them, for the record."""
        return {**asdict(self), "labels": list(self.labels)}


#: what is heard where no keyword is
NO_EVENTS = UNKNOWN, SILENCE = "_unknown_", "_silence_"

DEFAULTS = SpottingOptions()

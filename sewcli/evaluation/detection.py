"""Detection figures: keywords that were missed, and events where none was said.

An event of a label finds a keyword of that label if the two overlap, one event one keyword: a second event on
the same keyword is a false alarm, and so is an event that overlaps none. A keyword that no event finds is a
miss.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sewcli.inputs.manifest import LabelSpan

Span = tuple[float, float]


def found(keywords: Sequence[Span], events: Sequence[Span]) -> int:
    """How many keywords of one label are found at the most, one event each.

    Args:
        keywords: start and end of each in seconds; they may overlap.
        events: likewise.
    """
    # the event that ends first takes of its keywords the one that ends first: what ends later can overlap
    # whatever else these could have had
    ahead = sorted(keywords, key=lambda keyword: keyword[1])
    ends = [end for _, end in ahead]
    longest = max((end - start for start, end in ahead), default=0.0)
    free = [True] * len(ahead)
    for start, end in sorted(events, key=lambda event: event[1]):
        place = bisect.bisect_right(ends, start)
        # a keyword that ends later than this begins after the event
        while place < len(ahead) and ends[place] < end + longest:
            if free[place] and ahead[place][0] < end:
                free[place] = False
                break
            place += 1
    return free.count(False)


@dataclass
class Tally:
    """Keywords, events, and how many of them belong together."""

    keywords: int = 0
    events: int = 0
    found: int = 0

    def as_object(self, hours: float) -> dict[str, Any]:
        """keywords, misses, miss_rate (None without keywords), false_alarms and false_alarms_per_hour."""
        misses, alarms = self.keywords - self.found, self.events - self.found
        return {
            "keywords": self.keywords,
            "misses": misses,
            "miss_rate": misses / self.keywords if self.keywords else None,
            "false_alarms": alarms,
            "false_alarms_per_hour": alarms / hours if hours else None,
        }


@dataclass
class DetectionSum:
    """Tallies of recordings, by threshold and label.

    Attributes:
        recordings: how many.
        seconds: of their audio.
        tallies: by threshold, and in each by label.
    """

    recordings: int = 0
    seconds: float = 0.0
    tallies: dict[float, dict[str, Tally]] = field(default_factory=dict)

    def add(
        self,
        keywords: Sequence[LabelSpan],
        events: Mapping[float, Sequence[LabelSpan]],
        seconds: float,
    ) -> None:
        """Count a recording.

        Args:
            keywords: that are said in it.
            events: that were found in it, by threshold.
            seconds: of audio.
        """
        self.recordings += 1
        self.seconds += seconds
        for threshold, heard in events.items():
            by_label = self.tallies.setdefault(threshold, {})
            for label in sorted({span.label for span in [*keywords, *heard]}):
                said, given = _of(label, keywords), _of(label, heard)
                tally = by_label.setdefault(label, Tally())
                tally.keywords += len(said)
                tally.events += len(given)
                tally.found += found(said, given)

    def as_object(self, threshold: float) -> dict[str, Any]:
        """The figures at one threshold, by label under `labels`; and in all at each under `thresholds`."""
        hours = self.seconds / 3600
        by_label = self.tallies.get(threshold, {})
        return {
            "recordings": self.recordings,
            "audio_seconds": round(self.seconds, 3),
            **_total(by_label).as_object(hours),
            "labels": {label: by_label[label].as_object(hours) for label in sorted(by_label)},
            "thresholds": [
                {"threshold": level, **_total(self.tallies[level]).as_object(hours)}
                for level in sorted(self.tallies)
            ],
        }


def _of(label: str, spans: Sequence[LabelSpan]) -> list[Span]:
    return [(span.start, span.end) for span in spans if span.label == label]


def _total(by_label: Mapping[str, Tally]) -> Tally:
    tallies = by_label.values()
    return Tally(
        sum(tally.keywords for tally in tallies),
        sum(tally.events for tally in tallies),
        sum(tally.found for tally in tallies),
    )

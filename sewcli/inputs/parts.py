"""Parts of inputs: the window of --start and --end, in seconds of the whole file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sewcli.errors import UsageError
from sewcli.inputs.source import Source

#: minutes and seconds end at 59, but for what comes first
_CLOCK = re.compile(r"(?:(\d+):(?=[0-5]?\d:))?(\d+):([0-5]?\d(?:\.\d*)?)")


def parse_time(option: str, text: str) -> float:
    """Seconds of "90", "1:30" or "0:01:30.5".

    Raises:
        UsageError: it is neither a number of seconds from 0 up nor h:m:s.
    """
    if clock := _CLOCK.fullmatch(text.strip()):
        hours, minutes, seconds = (float(group or 0) for group in clock.groups())
        return hours * 3600 + minutes * 60 + seconds
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise UsageError(f"{option} {text}: not a time", hint="give seconds or h:m:s, as 90.5 or 0:01:30.5")
    return value


@dataclass(frozen=True)
class Window:
    """What to read of each file.

    Attributes:
        start: in seconds from the beginning of the file.
        end: likewise; None is the end of the file.
    """

    start: float = 0.0
    end: float | None = None

    @classmethod
    def parse(cls, start: str | None, end: str | None) -> Window:
        """The window of the two options (UsageError where it holds nothing)."""
        first = parse_time("--start", start) if start is not None else 0.0
        last = parse_time("--end", end) if end is not None else None
        if last is not None and last <= first:
            raise UsageError(
                f"--end {end} is not after --start {start or 0}", hint="both count from the start"
            )
        return cls(first, last)

    def cut(self, sources: Iterable[Source]) -> Iterator[Source]:
        """The sources with only the window of each; a row of a manifest keeps to its own part as well."""
        if self == Window():
            yield from sources
            return
        for source in sources:
            yield self._cut(source)

    def _cut(self, source: Source) -> Source:
        if source.error is not None:
            return source
        own_end = math.inf if source.duration is None else source.offset + source.duration
        start = max(source.offset, self.start)
        end = min(own_end, math.inf if self.end is None else self.end)
        if end <= start:
            return replace(source, error="its part of the file lies outside --start and --end")
        # rounded, because 0.3 - 0.1 is a little less than 0.2 and would lose a sample
        seconds = None if end == math.inf else round(end - start, 9)
        return replace(source, offset=start, duration=seconds, announced=None)

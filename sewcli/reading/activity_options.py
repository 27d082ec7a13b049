"""Which silences of a recording are left out: the settings of `sewcli.reading.activity`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from sewcli.errors import UsageError


@dataclass(frozen=True)
class ActivityOptions:
    """When a stretch of a recording is left out.

    Attributes:
        threshold: dB above the noise floor at which speech begins.
        silence: seconds; shorter silences stay.
        padding: seconds of silence kept on each side of speech.
    """

    threshold: float = 10.0
    silence: float = 1.0
    padding: float = 0.3

    def checked(self) -> ActivityOptions:
        """Themselves (UsageError where they cannot work)."""
        if not (math.isfinite(self.threshold) and self.threshold > 0):
            raise UsageError(f"a threshold of {self.threshold:g} dB above the noise: it must be above 0")
        if not (math.isfinite(self.padding) and self.padding >= 0):
            raise UsageError(f"a padding of {self.padding:g} s; it must be a number of seconds from 0 up")
        least = 2 * self.padding + 0.2
        if not (math.isfinite(self.silence) and self.silence >= least):
            raise UsageError(
                f"silences of {self.silence:g} s cannot be skipped with a padding of {self.padding:g} s",
                hint=f"give {least:g} s or more",
            )
        return self

    def as_settings(self) -> dict[str, float]:
        """All of them, for the record."""
        return asdict(self)

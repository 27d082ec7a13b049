"""The samples of a source, and what a recording must know of all of them before its first chunk runs."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.statistics import StatisticsAccumulator, WaveStatistics
from sewcli.audio import SAMPLE_RATE, read_blocks, shown
from sewcli.errors import AudioError
from sewcli.inputs.source import Source
from sewcli.reading.activity import LevelMeter


@dataclass(frozen=True)
class How:
    """How a source is read.

    Attributes:
        engine: of the decoding, see `sewcli.audio.read_blocks`.
        longest: seconds it may last; reading ends as soon as it is longer.
        levels: take them too.
    """

    engine: str = "soundfile"
    longest: float | None = None
    levels: bool = False


@dataclass(frozen=True)
class Measures:
    """Of all samples of a source.

    Attributes:
        statistics: their moments.
        levels: dB of full scale, one each 20 ms, see `reading.activity.LevelMeter`; None where not asked for.
    """

    statistics: WaveStatistics
    levels: NDArray[np.float32] | None


Reading = Generator[NDArray[np.float32], None, Measures]
"""Blocks of 16 kHz mono, shape (n,), and at their end the measures."""


def measured(source: Source, how: How) -> Reading:
    """Read a source in blocks, measuring them as they pass.

    Args:
        source: what to read.
        how: see `How`.

    Raises:
        AudioError: the audio cannot be read or cannot be used.
    """
    statistics = StatisticsAccumulator()
    meter = LevelMeter() if how.levels else None
    samples = 0
    for block in read_blocks(source, engine=how.engine):
        statistics.update(block)
        if meter is not None:
            meter.update(block)
        samples += block.size
        if how.longest is not None and round(samples / SAMPLE_RATE, 3) > how.longest:
            raise AudioError(
                f"{shown(source)}: longer than {how.longest:g} s, the most that is read as one piece",
                hint="cut it into clips; sew classify --window 1.0 finds words in long audio",
                code="too_long",
            )
        yield block
    return Measures(statistics.finish(), None if meter is None else meter.finish())

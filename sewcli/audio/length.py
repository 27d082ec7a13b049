"""How long an input is, by the header of its file."""

from __future__ import annotations

import math

from sewcli.audio import libsndfile
from sewcli.audio.checks import cannot_open, check_channel, check_length, check_place, check_source, shown
from sewcli.audio.decoding import decoding
from sewcli.audio.native import NativeAudio, UnreadableError
from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import AudioError
from sewcli.inputs.source import Source


def seconds_of(source: Source) -> float | None:
    """Seconds of audio in a source, nothing decoded; None where only decoding tells, as for a pipe.

    Raises:
        AudioError: there is no such file, it is no audio, it ends before the part to read, or is too short.
    """
    name = shown(source)
    check_source(source)
    if source.is_stdin or source.is_url:
        return None
    try:
        check_place(name, source.file)
        if not source.file.is_file():
            return None
        try:
            with libsndfile.reading(name, source.file, source.offset, source.duration) as native:
                return _part(name, source, native)
        except UnreadableError:
            with decoding(name, source.file, source.offset, source.duration) as native:
                return _part(name, source, native)
    except AudioError:
        raise
    except OSError as error:
        raise cannot_open(name, error) from error


def _part(name: str, source: Source, native: NativeAudio) -> float | None:
    if source.channel is not None:
        check_channel(name, source.channel, native.channels)
    if native.frames is None:
        return source.duration
    left = max(0.0, native.frames / native.rate - source.offset)
    seconds = left if source.duration is None else min(left, source.duration)
    check_length(name, math.ceil(seconds * SAMPLE_RATE))
    return seconds

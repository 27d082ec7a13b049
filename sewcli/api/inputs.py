"""What the methods of `sewcli.api.Model` take and give back, to and from sources and results."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sewcli.api.options import Part
from sewcli.audio.arrays import ARRAY, array_source
from sewcli.errors import AudioError, SewError, UsageError
from sewcli.inputs.parts import Window
from sewcli.inputs.sources import STDIN, Source
from sewcli.results import (
    Classification,
    Detections,
    Embedding,
    Failure,
    KeywordEvent,
    Transcript,
)

Array = NDArray[np.floating[Any]] | NDArray[np.int16] | NDArray[np.int32]
Place = str | os.PathLike[str]
Audio = Place | tuple[Array, int]
"""A file or an address, or samples of shape (samples,) or (samples, channels) with their rate."""

ResultT = TypeVar("ResultT", Transcript, Classification, Embedding)


def one_source(audio: Place | Array, sample_rate: int | None) -> Source:
    """The source of a file or an array (UsageError where the array is no audio)."""
    if isinstance(audio, str | os.PathLike):
        return _file(audio)
    return array_source(audio, sample_rate)


def any_sources(audios: Iterable[Audio]) -> Iterator[Source]:
    """The source of each input (UsageError, at once, for one that is not in a list)."""
    if isinstance(audios, str | os.PathLike):
        raise UsageError(
            f"{os.fspath(audios)!r} is one input", hint=f"give a list of them: [{os.fspath(audios)!r}]"
        )
    return map(any_source, audios)


def any_source(audio: Audio) -> Source:
    """The source of an input; what is wrong with an array becomes its failure."""
    if isinstance(audio, str | os.PathLike):
        return _file(audio)
    if not isinstance(audio, tuple | list) or len(audio) != 2:
        problem = "samples come with their rate: give (samples, rate)"  # type: ignore[unreachable]
        return Source(ARRAY, Path(ARRAY), error=problem)
    try:
        return array_source(*audio)
    except (TypeError, ValueError) as error:
        return Source(ARRAY, Path(ARRAY), error=str(error))


def _file(audio: Place) -> Source:
    path = os.fspath(audio)
    return Source(f"./{path}" if path == STDIN else path, Path(path))


def parts(sources: Iterable[Source], options: Part) -> Iterator[Source]:
    """The part and channel of each source that the options name (UsageError at once where there is none)."""
    channel = options.get("channel")
    start, end = options.get("start", 0.0), options.get("end")
    for name, value in (("start", start), ("end", end)):
        if isinstance(value, str):
            raise UsageError(f"{name}={value!r}: a number of seconds is needed")
    if isinstance(channel, str):
        raise UsageError(
            f"channel={channel!r}: a number from 0 is needed",
            hint="one call for each channel; leave it out for their mean",
        )
    if not 0 <= start < math.inf or (end is not None and not start < end < math.inf):
        raise UsageError(f"start={start:g}, end={end}: no part of a recording", hint="both are seconds")
    if channel is not None and channel < 0:
        raise UsageError(f"channel={channel}: channels count from 0", hint="leave it out for their mean")
    return (replace(source, channel=channel) for source in Window(start, end).cut(sources))


def events_only(results: Iterable[KeywordEvent | Detections | Failure]) -> Iterator[KeywordEvent]:
    """The events alone (AudioError where the recording has failed)."""
    for result in results:
        if isinstance(result, Failure):
            raise AudioError(result.message, code=result.code)
        if isinstance(result, KeywordEvent):
            yield result


def only(results: Iterator[ResultT | Failure]) -> ResultT:
    """The only result (AudioError where it is a failure)."""
    [result] = results
    if isinstance(result, Failure):
        raise AudioError(result.message, code=result.code)
    return result


def picture_file(place: Place | None) -> Callable[[Source, bytes], None] | None:
    """What writes the picture of one recording.

    Raises:
        UsageError: matplotlib is not installed, or the name is not one of a .png.
    """
    if place is None:
        return None
    from sewcli.pictures.draw import require_matplotlib

    require_matplotlib()
    file = Path(place)
    if file.suffix.lower() != ".png":
        raise UsageError(f"plot={os.fspath(place)!r}: pictures are written as .png")
    return lambda _source, picture: _write(file, [picture])


def logits_file(place: Place | None) -> Callable[[Source, Iterable[bytes]], None] | None:
    """What writes the logits of one recording."""
    if place is None:
        return None
    file = Path(place)
    return lambda _source, content: _write(file, content)


def _write(file: Path, content: Iterable[bytes]) -> None:
    try:
        with file.open("wb") as stream:
            stream.writelines(content)
    except OSError as error:
        raise SewError(f"cannot write {file}: {error.strerror}", code="output") from error

"""What the methods of `sewcli.api.Model` take and give back, to and from sources and results."""

from __future__ import annotations

import atexit
import math
import os
import stat
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sewcli.api.options import Part
from sewcli.atomic import write_whole
from sewcli.audio.arrays import ARRAY, array_source
from sewcli.audio.streams import Encoded, is_encoded, stream_source
from sewcli.errors import AudioError, SewError, UsageError
from sewcli.inputs.parts import Window
from sewcli.inputs.source import STDIN, Source
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
Audio = Place | Encoded | tuple[Array, int] | Mapping[str, Any]
"""A file or an address, bytes or an open file, or samples of shape (samples,) or (samples, channels) with
their rate; or any of these as data sets of Hugging Face hold them (`array` and `sampling_rate`, `bytes` or
`path`)."""

OneAudio = Place | Encoded | Array | Mapping[str, Any]
"""The same where the rate of samples is an argument of its own."""

Picture = Callable[[Source, bytes], None]
Logits = Callable[[Source, Iterable[bytes]], None]
"""What writes a picture, and the pieces of a file of logits, of a recording."""

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT", Transcript, Classification, Embedding)


def one_source(audio: OneAudio, sample_rate: int | None) -> Source:
    """The source of a file or an array (UsageError where the array is no audio)."""
    given: Any = audio
    if _is_row(given):
        given = _unwrapped(given)
        if isinstance(given, tuple):
            given, own = given
            if sample_rate not in (None, own):
                raise UsageError(f"sample_rate={sample_rate}, and its sampling_rate is {own}")
            sample_rate = own
    if isinstance(given, str | os.PathLike) or is_encoded(given):
        if sample_rate is not None:
            raise UsageError("sample_rate is for arrays; a file has its own", hint="leave it out")
        return stream_source(given) if is_encoded(given) else _file(given)
    if isinstance(given, list | tuple) and any(isinstance(one, str | os.PathLike) for one in given):
        raise UsageError("several files", hint="give them to transcribe_many, classify_many or embed_many")
    if sample_rate is None and isinstance(given, tuple) and len(given) == 2:
        raise UsageError("samples and their rate are two arguments", hint="samples, sample_rate=rate")
    if given is None or isinstance(given, bool | int | float):
        raise UsageError(f"{type(given).__name__}: no recording", hint="give a file, bytes, or samples")
    return array_source(given, sample_rate)


def _is_row(audio: Any) -> bool:
    """Whether it is the audio of a row of a data set: a mapping, or what decodes it since datasets 4."""
    return isinstance(audio, Mapping) or hasattr(audio, "get_all_samples")


def _unwrapped(audio: Any) -> Place | Encoded | tuple[Array, int]:
    """The audio of a row of a data set (UsageError where there is none)."""
    if not isinstance(audio, Mapping) or ("array" in audio and "sampling_rate" in audio):
        return audio["array"], audio["sampling_rate"]
    found: Any = audio.get("path") if audio.get("bytes") is None else audio["bytes"]
    if found is None:
        raise UsageError(
            f"a mapping of {', '.join(map(repr, audio)) or 'nothing'} is no audio",
            hint="it needs 'array' and 'sampling_rate', or 'bytes' or 'path'",
        )
    return found  # type: ignore[no-any-return]


def listed(items: Iterable[ItemT]) -> Iterable[ItemT]:
    """The items (UsageError, at once, for a path that is not in a list, or what is no list at all)."""
    if isinstance(items, str | os.PathLike):
        one = os.fspath(items)
        raise UsageError(f"{one!r} is one input", hint=f"give a list of them: [{one!r}]")
    given: Any = items
    if is_encoded(given) or _is_row(given):
        raise UsageError(f"{type(given).__name__}: one input", hint="give a list of them")
    if not isinstance(given, Iterable):
        raise UsageError(f"{type(given).__name__}: no list of inputs")
    return items


def any_sources(audios: Iterable[Audio]) -> Iterator[Source]:
    """The source of each input; see `listed`."""
    return map(any_source, listed(audios))


def any_text_source(pair: tuple[Audio, str]) -> Source:
    """The source of a recording and its text; what is wrong with one of them becomes its failure."""
    given: Any = pair
    if not isinstance(given, tuple | list) or len(given) != 2 or not isinstance(given[1], str):
        alone = _file(given) if isinstance(given, str | os.PathLike) else _unusable("")
        return replace(alone, error="recordings come with their texts: give (recording, text)")
    return replace(any_source(pair[0]), text=pair[1])


def any_source(audio: Audio) -> Source:
    """The source of an input; what is wrong with it becomes its failure."""
    given: Any = audio
    try:
        if _is_row(given):
            given = _unwrapped(given)
        if isinstance(given, str | os.PathLike):
            return _file(given)
        if is_encoded(given):
            return stream_source(given)
        if not isinstance(given, tuple | list) or len(given) != 2:
            return _unusable("samples come with their rate: give (samples, rate)")
        return array_source(*given)
    except UsageError as error:
        return _unusable(str(error))
    # whatever objects of other libraries raise where they are asked for their samples
    except Exception as error:
        return _unusable(f"{type(given).__name__} gives no audio: {str(error) or type(error).__name__}")


def any_file(given: Place) -> Source:
    """The source of a file; what is no path becomes its failure."""
    try:
        return _file(given)
    except TypeError as error:
        return _unusable(str(error))


def _unusable(problem: str) -> Source:
    return Source(ARRAY, Path(ARRAY), error=problem, has_file=False)


def _file(audio: Place) -> Source:
    path = os.fspath(audio)
    if not path:
        return Source("''", Path(), error="an empty path", has_file=False)
    return Source(f"./{path}" if path == STDIN else path, Path(path))


def parts(sources: Iterable[Source], options: Part) -> Iterator[Source]:
    """The part and channel of each source that the options name (UsageError at once where there is none)."""
    start, end, channel = options.get("start") or 0.0, options.get("end"), options.get("channel")
    if not 0 <= start < math.inf or (end is not None and not start < end < math.inf):
        raise UsageError(f"start={start:g}, end={end}: no part of a recording", hint="both are seconds")
    if channel is not None and channel < 0:
        raise UsageError(f"channel={channel}: channels count from 0", hint="leave it out for their mean")
    return (replace(source, channel=channel) for source in Window(start, end).cut(sources))


#: results that are still being taken, and the process that takes them: at the end of the program they end
#: while all modules are there
_OPEN: weakref.WeakKeyDictionary[Generator[Any], int] = weakref.WeakKeyDictionary()


def ended_at_exit(results: Iterator[ItemT]) -> Iterator[ItemT]:
    """The results, whose threads and processes end before the interpreter does, wherever they are."""
    taken = _each(results)
    _OPEN[taken] = os.getpid()
    return taken


def _each(results: Iterator[ItemT]) -> Generator[ItemT]:
    yield from results


@atexit.register
def _end_all() -> None:
    for taken, process in list(_OPEN.items()):
        if process == os.getpid():  # a fork has those of its parent too
            with suppress(ValueError):  # another thread is at it
                taken.close()


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


def picture_file(place: Place | None, audio: OneAudio) -> Picture | None:
    """What writes the picture of one recording.

    Raises:
        UsageError: matplotlib is not installed, the name is not one of a .png, or that of the recording.
    """
    if place is None:
        return None
    from sewcli.pictures.draw import require_matplotlib

    require_matplotlib()
    file = Path(place)
    if file.suffix.lower() != ".png":
        raise UsageError(f"plot={os.fspath(place)!r}: pictures are written as .png")
    _refuse_recording("plot", file, audio)
    return lambda _source, picture: _write(file, [picture])


def logits_file(place: Place | None, audio: OneAudio) -> Logits | None:
    """What writes the logits of one recording (UsageError where that would replace the recording)."""
    if place is None:
        return None
    file = Path(place)
    _refuse_recording("save_logits", file, audio)
    return lambda _source, content: _write(file, content)


def _refuse_recording(option: str, file: Path, audio: OneAudio) -> None:
    """Refuse a file to write that is the recording itself (UsageError)."""
    given: Any = audio.get("path") if isinstance(audio, Mapping) else audio
    read: Any = given if isinstance(given, str | os.PathLike) else getattr(given, "name", None)
    same = False
    with suppress(OSError, ValueError, TypeError):  # one of them is not there, or no file
        same = file.samefile(read)
    if same:
        raise UsageError(f"{option}={str(file)!r} is the recording", hint="choose another file")


def _write(file: Path, content: Iterable[bytes]) -> None:
    try:
        if file.is_file():
            target = file.resolve()
            mode = stat.S_IMODE(target.stat().st_mode)
            write_whole(target, content)
            target.chmod(mode)
        elif not file.exists():
            write_whole(file, content)
        else:  # a pipe, which cannot be replaced
            with file.open("wb") as stream:
                stream.writelines(content)
    except OSError as error:
        raise SewError(f"cannot write {file}: {error.strerror}", code="output") from error

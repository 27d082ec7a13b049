"""Which library decodes a file: libsndfile, or PyAV or ffmpeg for what libsndfile rejects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from sewcli.audio import containers, ffmpeg, joined, libsndfile
from sewcli.audio.checks import STDIN_SHOWN, damaged
from sewcli.audio.native import NO_AUDIO_STREAM, NativeAudio, UnreadableError
from sewcli.errors import AudioError
from sewcli.inputs.formats import (
    INSTALL_MEDIA,
    LIBSNDFILE_EXTENSIONS,
    MEDIA_EXTENSIONS,
    ffmpeg_program,
    has_pyav,
)
from sewcli.inputs.raw import RawAudio

MediaDecoder = Callable[[str, Path, float, float | None], AbstractContextManager[NativeAudio]]


@contextmanager
def decoding(
    name: str, file: Path, offset: float, duration: float | None, raw: RawAudio | None = None
) -> Iterator[NativeAudio]:
    """Open the part [offset, offset + duration) of a file, in seconds, with the first library that can.

    Args:
        name: the input, for messages.
        file: a regular file that is not empty.
        offset: where to start.
        duration: how much to read; None reads to the end.
        raw: how its samples are written, where it has no header.

    Raises:
        AudioError: codes not_audio, needs_ffmpeg, joined, damaged, no_samples; the last three also while
            reading.
    """
    if raw is not None:
        with libsndfile.reading_raw(name, file, raw, offset, duration) as native:
            yield native
        return
    containers.check_complete(name, file)
    with ExitStack() as stack:
        try:
            native = stack.enter_context(joined.reading(name, file, offset, duration))
        except UnreadableError as unreadable:
            decoders = list(_media_decoders())
            if not decoders:
                raise _without_decoder(name, file, str(unreadable)) from unreadable
            native = _first_that_reads(name, file, stack, [d(name, file, offset, duration) for d in decoders])
        yield native


def _media_decoders() -> Iterator[MediaDecoder]:
    """What is installed for the formats that libsndfile lacks, the first choice first."""
    if has_pyav():
        from sewcli.audio import media

        yield media.reading
    program = ffmpeg_program()
    if program is not None:
        yield partial(ffmpeg.reading, ffmpeg=program)


def _first_that_reads(
    name: str, file: Path, stack: ExitStack, attempts: Iterable[AbstractContextManager[NativeAudio]]
) -> NativeAudio:
    reasons: list[str] = []
    for attempt in attempts:
        try:
            return stack.enter_context(attempt)
        except UnreadableError as error:
            reasons.append(str(error))
    if NO_AUDIO_STREAM not in reasons and containers.kind(file) is not None:
        raise damaged(name, f"neither libsndfile nor ffmpeg reads it ({reasons[-1]})")
    reason = NO_AUDIO_STREAM if NO_AUDIO_STREAM in reasons else reasons[-1]
    raise _not_audio(name, reason, "check what the file is, whatever its name says")


def _without_decoder(name: str, file: Path, reason: str) -> AudioError:
    kind = containers.kind(file)
    if kind == "ffmpeg" or file.suffix[1:].lower() in MEDIA_EXTENSIONS:
        return AudioError(
            f"{name}: this format is read through PyAV or ffmpeg, and neither is installed",
            hint=f"{INSTALL_MEDIA}, or convert the file to wav or flac",
            code="needs_ffmpeg",
        )
    if kind == "libsndfile":
        return AudioError(
            f"{name}: damaged or cut, or in an encoding that only ffmpeg reads ({reason})",
            hint=f"get the file again, or {INSTALL_MEDIA}",
            code="damaged",
        )
    return _not_audio(name, reason, f"formats read without ffmpeg: {' '.join(sorted(LIBSNDFILE_EXTENSIONS))}")


def _not_audio(name: str, reason: str, hint: str) -> AudioError:
    if name == STDIN_SHOWN:
        hint = f"samples without a header need --raw-rate; {hint}"
    return AudioError(f"{name}: not an audio file ({reason})", hint=hint, code="not_audio")

"""Which library decodes a file: libsndfile, or ffmpeg for what libsndfile rejects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sewcli.audio import containers, ffmpeg, libsndfile
from sewcli.audio.checks import damaged
from sewcli.audio.native import NativeAudio, UnreadableError
from sewcli.errors import AudioError
from sewcli.sources import FFMPEG_EXTENSIONS, LIBSNDFILE_EXTENSIONS

INSTALL = "install ffmpeg (apt install ffmpeg, brew install ffmpeg, winget install ffmpeg)"


@contextmanager
def decoding(name: str, file: Path, offset: float, duration: float | None) -> Iterator[NativeAudio]:
    """Open the part [offset, offset + duration) of a file, in seconds, with the first library that can.

    Args:
        name: the input, for messages.
        file: a regular file that is not empty.
        offset: where to start.
        duration: how much to read; None reads to the end.

    Raises:
        AudioError: codes not_audio, needs_ffmpeg, damaged, no_samples; the last two also while reading.
    """
    containers.check_complete(name, file)
    with ExitStack() as stack:
        try:
            native = stack.enter_context(libsndfile.reading(name, file, offset, duration))
        except UnreadableError as unreadable:
            program = ffmpeg.program()
            if program is None:
                raise _without_ffmpeg(name, file, str(unreadable)) from unreadable
            try:
                native = stack.enter_context(ffmpeg.reading(name, file, offset, duration, program))
            except UnreadableError as error:
                raise _rejected_by_both(name, file, str(error)) from error
        yield native


def _without_ffmpeg(name: str, file: Path, reason: str) -> AudioError:
    kind = containers.kind(file)
    if kind == "ffmpeg" or file.suffix[1:].lower() in FFMPEG_EXTENSIONS:
        return AudioError(
            f"{name}: this format is read through ffmpeg, which is not installed",
            hint=f"{INSTALL}, or convert the file to wav or flac",
            code="needs_ffmpeg",
        )
    if kind == "libsndfile":
        return AudioError(
            f"{name}: damaged or cut, or in an encoding that only ffmpeg reads ({reason})",
            hint=f"get the file again, or {INSTALL}",
            code="damaged",
        )
    return _not_audio(name, reason, f"formats read without ffmpeg: {' '.join(sorted(LIBSNDFILE_EXTENSIONS))}")


def _rejected_by_both(name: str, file: Path, reason: str) -> AudioError:
    if reason != ffmpeg.NO_AUDIO_STREAM and containers.kind(file) is not None:
        return damaged(name, f"neither libsndfile nor ffmpeg reads it ({reason})")
    return _not_audio(name, reason, "check what the file is, whatever its name says")


def _not_audio(name: str, reason: str, hint: str) -> AudioError:
    return AudioError(f"{name}: not an audio file ({reason})", hint=hint, code="not_audio")

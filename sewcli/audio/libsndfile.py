"""Decoding with libsndfile, in blocks: wav, flac, ogg, opus, mp3, aiff, au, caf, w64 and more."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import soundfile

from sewcli.audio import containers, mp3
from sewcli.audio.checks import damaged
from sewcli.audio.dsp import Block, block_frames, cut, frames_in, part
from sewcli.audio.native import NativeAudio, UnreadableError
from sewcli.audio.prefix import open_with_prefix
from sewcli.errors import AudioError
from sewcli.inputs.raw import RAW_FORMATS, RawAudio
from sewcli.prefetch import prefetched

_UNKNOWN_LENGTH = (1 << 63) - 1
#: decoded blocks that wait at most
_AHEAD = 2


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read from front to back.

    soundfile seeks after every read of a seekable file, which costs a second decoding of MP3 and fails at
    the end of a FLAC file of unknown length. Told that the file is not seekable, it only reads.
    """

    def seekable(self) -> bool:
        return False

    def can_seek(self) -> bool:
        return bool(super().seekable())


def name_for_libsndfile(file: Path) -> str | bytes:
    """A path in the form soundfile takes, also where it is not valid UTF-8.

    Absolute, because libsndfile reads standard input for a file whose name is "-".
    """
    absolute = file.absolute()
    return str(absolute) if sys.platform == "win32" else os.fsencode(absolute)


class Stretch(NamedTuple):
    """The bytes [start, end) of a file; to its end where that is None."""

    start: int
    end: int | None


ALL = Stretch(0, None)


@contextmanager
def reading(
    name: str, file: Path, offset: float, duration: float | None, stretch: Stretch = ALL
) -> Iterator[NativeAudio]:
    """Open a file for reading [offset, offset + duration), in seconds, cut as librosa.load cuts.

    Args:
        name: the input, for messages.
        file: where it is.
        offset: where to start.
        duration: how much to read; None reads to the end.
        stretch: which bytes to take for the file, where others are joined to it.

    Raises:
        UnreadableError: libsndfile does not read it.
        AudioError: it ends before the offset; while reading: it is damaged, or shorter than announced.
    """
    if file.suffix.lower() in mp3.EXTENSIONS and not mp3.may_be_mp3(file):
        raise UnreadableError("no MPEG frame in it")
    patched = containers.mended(file) if stretch == ALL else open_with_prefix(b"", file, *stretch)
    with patched or nullcontext(), _opened(patched or name_for_libsndfile(file)) as handle:
        trusted = handle.frames < _UNKNOWN_LENGTH and (
            "MPEG" not in handle.subtype or mp3.says_its_length(file, stretch.start)
        )
        rate = handle.samplerate
        start = frames_in(offset, rate)
        count = None if duration is None else frames_in(duration, rate)
        if trusted and start and start >= handle.frames:
            raise AudioError(
                f"{name}: ends at {handle.frames / rate:.3f} s, before the offset of {offset:g} s",
                hint="correct --start, or the offset of this manifest row",
                code="no_samples",
            )
        if not trusted:
            blocks = cut(_decode_unmeasured(name, file, handle, stretch), start, count)
        elif start and not handle.can_seek():
            blocks = cut(_decode(name, handle, 0, handle.frames), start, count)
        else:
            _seek(name, handle, start)
            end = handle.frames if count is None else min(handle.frames, start + count)
            blocks = _decode(name, handle, start, end)
        with _ahead(handle, blocks) as ready:
            yield NativeAudio(
                rate,
                handle.channels,
                handle.frames if trusted else None,
                ready,
                librosa_reads_it=trusted and handle.can_seek() and patched is None,
            )


@contextmanager
def reading_raw(
    name: str, file: Path, raw: RawAudio, offset: float, duration: float | None
) -> Iterator[NativeAudio]:
    """Open samples without a header for reading [offset, offset + duration), in seconds.

    Bytes at the end that make no whole frame are left out.

    Raises:
        AudioError: they begin with the header of an audio file.
    """
    with file.open("rb") as stream:
        head = stream.read(8)
    if containers.is_audio_header(head):
        raise AudioError(
            f"{name}: not raw samples, but an audio file with a header",
            hint="leave out --raw-rate",
            code="raw",
        )
    coding, order = RAW_FORMATS[raw.format]
    with (
        _Sequential(
            name_for_libsndfile(file),
            samplerate=raw.rate,
            channels=raw.channels,
            format="RAW",
            subtype=coding,
            endian=order,
        ) as handle,
        _ahead(handle, part(_blocks(name, handle, 0, None), raw.rate, offset, duration)) as ready,
    ):
        yield NativeAudio(raw.rate, raw.channels, handle.frames, ready, librosa_reads_it=False)


@contextmanager
def _ahead(handle: Any, blocks: Iterator[Block]) -> Iterator[Iterator[Block]]:
    """Decode in a thread, which has let go of the file in the end; a file of one block needs none.

    A recording can only go to the network when all of it is decoded and measured, so a long one would
    leave all cores but one idle until then: FLAC at 44.1 kHz takes 0.7 of the time this way.
    """
    if handle.frames <= block_frames(handle.samplerate, handle.channels):
        yield blocks
        return
    with closing(prefetched(blocks, _AHEAD)) as ready:
        yield ready


def _opened(file: str | bytes | BinaryIO) -> Any:
    try:
        handle = _Sequential(file)
    except soundfile.LibsndfileError as error:
        raise UnreadableError(error.error_string.rstrip(".")) from error
    except TypeError as error:  # what soundfile says to the extension .raw
        raise UnreadableError("raw samples, without a header") from error
    if handle.format == "RAW":
        # By the extension alone (.au, .snd, .vox, .gsm): any text would be taken for speech.
        handle.close()
        raise UnreadableError("Format not recognised")
    return handle


def _seek(name: str, handle: Any, start: int) -> None:
    if start:  # some encodings (GSM 6.10) refuse even to seek to 0
        try:
            handle.seek(start)
        except soundfile.LibsndfileError as error:
            at = f"{start / handle.samplerate:.3f} s cannot be reached"
            raise damaged(name, f"{at} ({error.error_string.rstrip('.')})") from error


def _decode(name: str, handle: Any, position: int, end: int) -> Iterator[Block]:
    """Read up to a frame number that the header promises."""
    for block in _blocks(name, handle, position, end):
        position += len(block)
        yield block
    # The last page of an Ogg stream that was recorded from the middle counts what came before; containers
    # checks Ogg files. The count of some MP3 writers includes the frame with the header itself.
    slack = mp3.samples_per_frame(handle.samplerate) if handle.format == "MP3" else 0
    if position < end - slack and handle.format != "OGG":
        raise damaged(name, f"it ends at {position / handle.samplerate:.3f} s; {_announced(handle)}")


def _decode_unmeasured(name: str, file: Path, handle: Any, stretch: Stretch) -> Iterator[Block]:
    """Read to the end of a file whose length is unknown or an estimate."""
    position = 0
    for block in _blocks(name, handle, 0, None):
        position += len(block)
        yield block
    if handle.format != "MP3" or position < handle.frames:
        return
    if longer := mp3.with_length_header(file, *stretch):
        with longer, _opened_again(name, longer) as rest:
            yield from cut(_blocks(name, rest, 0, None), position - mp3.DECODER_DELAY, None)


def _opened_again(name: str, longer: BinaryIO) -> Any:
    try:
        return _opened(longer)
    except UnreadableError as error:
        raise damaged(name, f"its MP3 frames cannot be followed to the end ({error})") from error


def _blocks(name: str, handle: Any, position: int, end: int | None) -> Iterator[Block]:
    size = block_frames(handle.samplerate, handle.channels)
    while end is None or position < end:
        try:
            block = handle.read(size if end is None else min(size, end - position), "float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.rstrip(".")
            at = f"decoding fails near {position / handle.samplerate:.3f} s"
            raise damaged(name, f"{at} ({reason}); {_announced(handle)}") from error
        if not len(block):
            return
        position += len(block)
        yield block


def _announced(handle: Any) -> str:
    if handle.frames >= _UNKNOWN_LENGTH:
        return "the header does not say how long it is"
    return f"the header announces {handle.frames / handle.samplerate:.3f} s"

"""Files that hold several recordings one behind the other, as `cat a.ogg b.ogg` makes them.

libsndfile reads such a file to the end of the first recording, without a word. Ogg and MP3 are made to be
joined so, and all of them are read as one; of the other formats it is an accident, and an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from sewcli.audio import libsndfile, mp3, ogg
from sewcli.audio.checks import joined
from sewcli.audio.dsp import Block, part
from sewcli.audio.libsndfile import Stretch
from sewcli.audio.native import NativeAudio, UnreadableError

_FLAC = b"fLaC"
_FLAC_HEADER = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
"""With the head of the block that has to follow, of 34 bytes, the last one or not."""
_HEADER_BYTES = 8
_BLOCK = 1 << 20


@contextmanager
def reading(name: str, file: Path, offset: float, duration: float | None) -> Iterator[NativeAudio]:
    """Open all recordings of a file for reading [offset, offset + duration), in seconds, of them as one.

    Raises:
        UnreadableError: libsndfile does not read it.
        AudioError: as libsndfile.reading does; joined: where the recordings cannot be read as one.
    """
    with file.open("rb") as stream:
        magic = stream.read(4)
    pieces = _pieces(file, magic)
    if len(pieces) == 1:
        with libsndfile.reading(name, file, offset, duration) as native:
            # all of it is searched, so only where all of it is read
            if magic == _FLAC and duration is None and (behind := _second_flac(file)) is not None:
                raise joined(name, f"begins at byte {behind}, where the first one ends")
            yield native
        return
    with libsndfile.reading(name, file, 0, None, pieces[0]) as first:
        rate, channels = first.rate, first.channels
    blocks = part(_blocks(name, file, pieces, rate, channels), rate, offset, duration)
    yield NativeAudio(rate, channels, None, blocks, librosa_reads_it=False)


def _pieces(file: Path, magic: bytes) -> list[Stretch]:
    """Where the recordings of an Ogg or MP3 file lie; any other is one."""
    starts: Sequence[int] = [0]
    if magic == ogg.MAGIC:
        starts = ogg.scanned(file).starts
    elif mp3.is_header(magic):
        starts = mp3.starts(file)
    return [Stretch(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]


def _blocks(name: str, file: Path, pieces: list[Stretch], rate: int, channels: int) -> Iterator[Block]:
    for piece in pieces:
        with _opened(name, file, piece) as native:
            if (native.rate, native.channels) != (rate, channels):
                raise joined(
                    name,
                    f"of {native.rate} Hz and {native.channels} channels begins at byte {piece.start},"
                    f" behind one of {rate} Hz and {channels}",
                )
            yield from native.blocks


@contextmanager
def _opened(name: str, file: Path, piece: Stretch) -> Iterator[NativeAudio]:
    with ExitStack() as stack:
        try:
            native = stack.enter_context(libsndfile.reading(name, file, 0, None, piece))
        except UnreadableError as error:
            raise joined(name, f"begins at byte {piece.start} and cannot be read ({error})") from error
        yield native


def _second_flac(file: Path) -> int | None:
    """Where the header of a second FLAC recording lies; only decoding would tell where the first one ends."""
    with file.open("rb") as stream:
        position = _behind_metadata(stream)
        stream.seek(position)
        tail = b""
        while block := stream.read(_BLOCK):
            searched = tail + block
            found = _FLAC_HEADER.search(searched)
            if found is not None:
                return position - len(tail) + found.start()
            position += len(block)
            tail = searched[1 - _HEADER_BYTES :]
    return None


def _behind_metadata(stream: BinaryIO) -> int:
    """Where the samples of a FLAC file begin: pictures and the like before them may be of any bytes."""
    position, is_last = len(_FLAC), False
    while not is_last:
        stream.seek(position)
        header = stream.read(4)
        is_last = len(header) < 4 or bool(header[0] & 0x80)
        position += 4 + int.from_bytes(header[1:], "big")
    return position

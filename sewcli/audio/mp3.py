"""MP3 files that do not say how long they are, that are several, or that are not whole.

The Xing header, in the first frame of most MP3 files, holds the number of frames. Without it libsndfile
estimates the length from the size of the file and the bitrate of the first frame, and reads no further:
of a file with variable bitrate it can lose three quarters without a word (and librosa.load with it). A
Xing header that announces more frames than there can be lets it read all of them.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sewcli.audio.prefix import open_with_prefix

DECODER_DELAY = 529
"""Frames that libmpg123 leaves out at the start of a file with a Xing header."""

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_MPEG1 = 3
#: kbit/s by index, of MPEG 1 and of MPEG 2 and 2.5, layer III
_BITRATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_LOWER_BITRATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_LAYER3 = 1
_MONO = 3
_SHORTEST_FRAME = 24
#: headers that make frames of bytes which were searched for some
_IN_A_ROW = 4
_READ_AHEAD = 1 << 16
#: how every frame begins
_SYNC = re.compile(rb"\xff[\xe0-\xff]")
_HEAD, _SEARCHED = 1 << 12, 1 << 20
_CONTAINERS = (b"RIF", b"RF64", b"riff", b"OggS", b"fLaC", b"FORM", b"caff", b".snd", b"dns.")
#: of files that libsndfile gives to libmpg123 whatever they hold
EXTENSIONS = (".mp3", ".mp2", ".mp1", ".mpa")


def says_its_length(file: Path, start: int = 0) -> bool:
    """Whether the first frame from a byte on is a Xing (or Info) header with the number of frames."""
    with file.open("rb") as stream:
        return _xing(stream, _first_frame(stream, start)).frames is not None


def starts(file: Path) -> list[int]:
    """Where each MP3 recording of a file begins, in bytes: several where files were joined.

    A Xing header also holds how many bytes its recording has; where another frame follows them, behind tags
    perhaps, another recording begins. Some writers count too few bytes, so without tags and without a header
    of its own what follows is another recording only if all frames of this one have been there. Without that
    header the rest is one recording.
    """
    found = [0]
    with file.open("rb") as stream:
        frame = _first_frame(stream, 0)
        header = _xing(stream, frame)
        while header.bytes:
            end = frame + header.bytes
            following = _behind_tags(stream, end)
            next_frame = _first_frame(stream, following)
            if not _is_frame(stream, next_frame):
                break
            next_header = _xing(stream, next_frame)
            says_so = next_frame > end or next_header != _NO_XING
            if not says_so and _frames_between(stream, frame, end) <= (header.frames or 0):
                break
            found.append(following)
            frame, header = next_frame, next_header
    return found


def fault(file: Path) -> str | None:
    """What an MP3 file lacks, or None: the end of its last frame, or a frame between others.

    libmpg123 passes over both without a word. What lies before the first frame and behind the last, as where
    a stream was recorded, is no fault.
    """
    size = file.stat().st_size
    with file.open("rb", buffering=_READ_AHEAD) as stream:
        first = _first_frame(stream, 0)
        position = first if _is_frame(stream, first) else _search(stream, first)
        while position is not None:
            end = _end_of_frames(stream, position)
            if end is None:
                return None
            if end > size:
                return f"its last frame ends {end - size} bytes behind the end of the file"
            behind = _behind_tags(stream, _first_frame(stream, _behind_tags(stream, end)))
            position = behind if _is_frame(stream, behind) else _search(stream, behind)
            if position is not None and position > behind:
                return f"bytes {behind} to {position} between its frames are neither frames nor a tag"
    return None


def may_be_mp3(file: Path) -> bool:
    """Whether a file has tags, or a frame of any layer may begin in its first MiB.

    Of others with such an extension libmpg123 would write notes to standard error. What begins as another
    container, whatever its name says, is not for it.
    """
    with file.open("rb") as stream:
        head = stream.read(_HEAD)  # where nearly all have one
        if head.startswith((b"ID3", *_CONTAINERS)) or _SYNC.search(head):
            return True
        return _SYNC.search(head[-1:] + stream.read(_SEARCHED)) is not None


def is_header(head: bytes) -> bool:
    """Whether a file that begins so, with four bytes, is MP3 or begins with its tags."""
    return head.startswith(b"ID3") or _is_layer3(head)


def samples_per_frame(rate: int) -> int:
    """Samples in one MP3 frame, a channel, at a rate in Hz."""
    return 1152 if rate >= 32_000 else 576


def with_length_header(file: Path, start: int = 0, end: int | None = None) -> BinaryIO | None:
    """Open the bytes [start, end) of an MP3 file behind a Xing header; None if no frame is found there."""
    with file.open("rb") as stream:
        frame = _first_frame(stream, start)
        stream.seek(frame)
        first = stream.read(4)
    if not _is_layer3(first):
        return None
    header = _xing_frame(first, file.stat().st_size // _SHORTEST_FRAME)
    return open_with_prefix(header, file, frame, end)


class _Xing(NamedTuple):
    """What a Xing header says: frames and bytes of the recording, None where it does not."""

    frames: int | None
    bytes: int | None


_NO_XING = _Xing(None, None)


def _xing(stream: BinaryIO, frame: int) -> _Xing:
    stream.seek(frame)
    header = stream.read(4)
    if not _is_layer3(header):
        return _NO_XING
    tag = stream.read(_side_info(header) + 16)[_side_info(header) :]
    if tag[:4] not in {b"Xing", b"Info"} or len(tag) < 16:
        return _NO_XING
    flags, first, second = struct.unpack(">III", tag[4:])
    has_frames = bool(flags & 1)
    size = (second if has_frames else first) if flags & 2 else None
    return _Xing(first if has_frames else None, size)


def _is_frame(stream: BinaryIO, position: int) -> bool:
    stream.seek(position)
    return _is_layer3(stream.read(4))


def _frames_between(stream: BinaryIO, position: int, end: int) -> int:
    """How many frames lie one behind the other from one byte to another; that with a Xing header is one."""
    count = 0
    while position < end:
        stream.seek(position)
        header = stream.read(4)
        if not _is_layer3(header) or not (size := _frame_bytes(header)):
            break
        position += size
        count += 1
    return count


def _end_of_frames(stream: BinaryIO, position: int) -> int | None:
    """Where the frames end that lie one behind the other; None where one does not say how long it is."""
    while True:
        stream.seek(position)
        header = stream.read(4)
        if not _is_layer3(header):
            return position
        if not (size := _frame_bytes(header)):
            return None
        position += size


def _search(stream: BinaryIO, position: int) -> int | None:
    """Where the next frames begin, several of one kind in a row; one alone may be any bytes."""
    while True:
        stream.seek(position)
        content = stream.read(_READ_AHEAD)
        for found in _SYNC.finditer(content):
            if _are_frames(stream, position + found.start()):
                return position + found.start()
        if len(content) < _READ_AHEAD:
            return None
        position += len(content) - 1


def _are_frames(stream: BinaryIO, position: int) -> bool:
    kinds = set()
    for _ in range(_IN_A_ROW):
        stream.seek(position)
        header = stream.read(4)
        if not _is_layer3(header) or not (size := _frame_bytes(header)):
            return False
        kinds.add((header[1] >> 3 & 3, header[2] >> 2 & 3))
        position += size
    return len(kinds) == 1


def _frame_bytes(header: bytes) -> int:
    """The length of a frame by its header; 0 where that does not say (free format)."""
    version = header[1] >> 3 & 3
    rates = _BITRATES if version == _MPEG1 else _LOWER_BITRATES
    bitrate = rates[header[2] >> 4] * 1000
    padding = header[2] >> 1 & 1
    slots = 144 if version == _MPEG1 else 72
    return slots * bitrate // _RATES[version][header[2] >> 2 & 3] + padding if bitrate else 0


def _behind_tags(stream: BinaryIO, position: int) -> int:
    """Skip tags that lie behind a recording: ID3v1, and APE, whose header is 32 bytes."""
    while True:
        stream.seek(position)
        head = stream.read(16)
        if head.startswith(b"TAG"):
            position += 128
        elif head.startswith(b"APETAGEX") and len(head) == 16:
            position += 32 + int.from_bytes(head[12:], "little")
        else:
            return position


def _first_frame(stream: BinaryIO, position: int) -> int:
    """Skip ID3v2 tags; their size is 4 bytes of 7 bits."""
    while True:
        stream.seek(position)
        head = stream.read(10)
        if len(head) < 10 or not head.startswith(b"ID3"):
            return position
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        # in its version 2.4 a tag may end as it begins
        position += 10 + size + (10 if head[5] & 0x10 else 0)


def _is_layer3(header: bytes) -> bool:
    return (
        len(header) == 4
        and header[0] == 0xFF
        and header[1] & 0xE0 == 0xE0
        and header[1] >> 3 & 3 in _RATES
        and header[1] >> 1 & 3 == _LAYER3
        and header[2] >> 2 & 3 < 3
    )


def _side_info(header: bytes) -> int:
    """Bytes between the header of a frame and its Xing tag."""
    mono = header[3] >> 6 == _MONO
    if header[1] >> 3 & 3 == _MPEG1:
        return 17 if mono else 32
    return 9 if mono else 17


def _xing_frame(first: bytes, frames: int) -> bytes:
    version = first[1] >> 3 & 3
    rate = _RATES[version][first[2] >> 2 & 3]
    # Index 9 of the bitrate table: 128 kbit/s in MPEG 1, 80 in MPEG 2; long enough for the tag at any rate.
    size = 144 * 128_000 // rate if version == _MPEG1 else 72 * 80_000 // rate
    header = bytes([first[0], first[1] | 1, 9 << 4 | first[2] & 0x0C, first[3]])
    tag = b"Xing" + struct.pack(">II", 1, frames)
    return (header + bytes(_side_info(first)) + tag).ljust(size, b"\0")

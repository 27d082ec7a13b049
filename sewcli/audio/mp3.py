"""MP3 files that do not say how long they are.

The Xing header, in the first frame of most MP3 files, holds the number of frames. Without it libsndfile
estimates the length from the size of the file and the bitrate of the first frame, and reads no further:
of a file with variable bitrate it can lose three quarters without a word (and librosa.load with it). A
Xing header that announces more frames than there can be lets it read all of them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from sewcli.audio.prefix import open_with_prefix

DECODER_DELAY = 529
"""Frames that libmpg123 leaves out at the start of a file with a Xing header."""

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_MPEG1 = 3
_LAYER3 = 1
_MONO = 3
_SHORTEST_FRAME = 24


def says_its_length(file: Path) -> bool:
    """Whether the first frame of an MP3 file is a Xing (or Info) header with the number of frames."""
    with file.open("rb") as stream:
        start = _first_frame(stream)
        stream.seek(start)
        header = stream.read(4)
        if not _is_layer3(header):
            return False
        tag = stream.read(_side_info(header) + 8)[-8:]
    return tag[:4] in {b"Xing", b"Info"} and bool(tag[7] & 1)


def samples_per_frame(rate: int) -> int:
    """Samples in one MP3 frame, a channel, at a rate in Hz."""
    return 1152 if rate >= 32_000 else 576


def with_length_header(file: Path) -> BinaryIO | None:
    """Open an MP3 file with a Xing header put in front; None if its first frame is not found."""
    with file.open("rb") as stream:
        start = _first_frame(stream)
        stream.seek(start)
        first = stream.read(4)
    if not _is_layer3(first):
        return None
    header = _xing_frame(first, file.stat().st_size // _SHORTEST_FRAME)
    return open_with_prefix(header, file, start)


def _first_frame(stream: BinaryIO) -> int:
    """Skip ID3v2 tags; their size is 4 bytes of 7 bits."""
    position = 0
    while True:
        stream.seek(position)
        head = stream.read(10)
        if len(head) < 10 or not head.startswith(b"ID3"):
            return position
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        position += 10 + size


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

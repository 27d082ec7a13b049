"""The pages of an Ogg file: is one damaged or lost, and where does each recording of several begin?

An Ogg file is a row of pages, each with a checksum, the number of its stream and its own number in it
(RFC 3533, section 6). libsndfile passes over what is broken or missing, and stops at the end of the first
stream; where files were joined, or a radio station changed the programme, others follow.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAGIC = b"OggS"

_HEADER = 27
_BEGINS = 2
"""The flag of the first page of a stream."""
_ENDS = 4
"""And that of its last one."""
_NO_POSITION = (bytes(8), b"\xff" * 8)
"""Of a page that describes a stream, and of one on which nothing ends, as of a long description."""
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Pages(NamedTuple):
    """What the pages of a file say.

    Attributes:
        fault: what is wrong with them, in words; None for a whole file.
        starts: where each recording begins, in bytes; streams side by side, as sound and picture, are one.
    """

    fault: str | None
    starts: tuple[int, ...]


def scanned(file: Path) -> Pages:
    """Look through all pages of an Ogg file."""
    status = file.stat()
    return _scanned(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)  # the rows of a manifest cut the same long file again and again
def _scanned(file: Path, size: int, _modified: int) -> Pages:
    starts = [0]
    streams: dict[bytes, _Stream] = {}
    position = 0
    with file.open("rb") as stream:
        while position < size:
            stream.seek(position)
            header = stream.read(_HEADER)
            if not header.startswith(MAGIC):
                return Pages(_lost_sync(stream, position), tuple(starts))
            lengths = stream.read(header[26]) if len(header) == _HEADER else b""
            body = stream.read(sum(lengths))
            if len(header) < _HEADER or len(lengths) < header[26] or len(body) < sum(lengths):
                return Pages(f"it ends inside an Ogg page, at byte {size}", tuple(starts))
            if _checksum(header[:22] + bytes(4) + header[26:] + lengths + body) != header[22:26]:
                return Pages(f"the checksum of the Ogg page at byte {position} is wrong", tuple(starts))
            serial = header[14:18]
            if header[5] & _BEGINS:
                if any(other.has_audio or other.ended for other in streams.values()):
                    starts.append(position)
                    streams.clear()
                streams[serial] = _Stream()
            if serial in streams and (lost := streams[serial].take(header)):
                return Pages(f"{lost} before the Ogg page at byte {position}", tuple(starts))
            position += len(header) + len(lengths) + len(body)
    return Pages(None, tuple(starts))


class _Stream:
    """One stream, page by page."""

    def __init__(self) -> None:
        self.has_audio = False
        self.ended = False
        self._next: int | None = None

    def take(self, header: bytes) -> str | None:
        """Take in the next page; what is missing before it.

        Behind the pages that describe a stream, which have no position, its numbers may jump: so they do
        where a listener came in later, and programs that rewrite the description do not count again.
        """
        number = int.from_bytes(header[18:22], "little")
        expected, self._next = self._next, (number + 1) & 0xFFFFFFFF
        had_audio = self.has_audio
        self.has_audio = had_audio or header[6:14] not in _NO_POSITION
        self.ended = bool(header[5] & _ENDS)
        if not had_audio or expected is None or number == expected:
            return None
        if number > expected:
            return f"{number - expected} pages are missing" if number - expected > 1 else "a page is missing"
        return f"page {number} of the stream comes a second time or too late,"


def _lost_sync(stream: BinaryIO, position: int) -> str | None:
    """Bytes that are no page: damage if pages follow, or else a tag or filling behind the last one."""
    stream.seek(position)
    tail = b""
    while block := stream.read(1 << 20):
        if MAGIC + b"\0" in tail + block:
            return f"the Ogg page at byte {position} is broken"
        tail = block[-4:]
    return None


def _checksum(page: bytes) -> bytes:
    # Ogg's CRC has zlib's polynomial, but takes bits in the other order and starts from 0.
    crc = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "big").translate(_REVERSED_BITS)

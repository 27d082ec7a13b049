"""Is all of the audio there that a file's header announces?

libsndfile takes a cut WAV, AIFF, AU, CAF or W64 for a shorter one, and a cut or damaged Ogg for one with
a hole, without a word. So the announced size is read from the header here, and the pages of an Ogg file
are looked through (ogg.py).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from sewcli.audio import mp3, ogg
from sewcli.audio.checks import damaged, joined
from sewcli.audio.prefix import open_with_prefix

#: bytes that can be missing: some writers count their own header as audio, and of W64 what fills its chunk up
_SLACK = {b"RIFF": 44, b"RIFX": 44, b"RF64": 44, b".snd": 24, b"dns.": 24, b"riff": 7}
_FORMS = {
    *((magic, b"WAVE") for magic in (b"RIFF", b"RIFX", b"RF64")),
    *((b"FORM", form) for form in (b"AIFF", b"AIFC")),
}
#: how the names of W64 chunks end, after four letters
_W64_NAMES = (bytes.fromhex("f3acd3118cd100c04f8edb8a"), bytes.fromhex("cf11a5d628db04c10000"))
#: of containers that have no form
_BEGINNINGS = (b"riff", b"caff", b".snd", b"dns.")
_LIBSNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"dns.", b"caff", b"fLaC", b"OggS")
_FFMPEG_MAGIC = (b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75", b"ADIF")
#: of a chunk: a file has no place behind more
_MOST_BYTES = 1 << 62
#: AAC without a container; two bytes that any sample may be
_AAC_MAGIC = (b"\xff\xf1", b"\xff\xf9")
#: tags, mostly before MP3
_TAG_MAGIC = b"ID3"


def check_complete(name: str, file: Path) -> None:
    """Raise AudioError for a file whose containers are not one whole one.

    It is damaged where it is shorter than announced, has a bad or lost Ogg page or lacks MP3 frames, and
    joined where another recording lies behind a WAV, AIFF, W64, CAF, AU or MP4 file, which readers pass over.
    Sizes that streaming writers leave open (0 or the largest number, as sox and ffmpeg write into a pipe)
    announce nothing. FLAC is not looked at: decoding counts its frames.
    """
    with file.open("rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        end = None if magic == ogg.MAGIC else announced_end(stream)
        size = file.stat().st_size
        if magic == ogg.MAGIC:
            fault = ogg.scanned(file).fault
        elif mp3.is_header(magic):
            fault = mp3.fault(file)
        elif end is not None and size < end - _SLACK.get(magic, 0):
            fault = f"the header announces {end} bytes, the file has {size}"
        else:
            fault = None
        if fault:
            raise damaged(name, fault)
        behind = None
        if end is not None:
            behind = _second_recording(stream, magic, end, size)
        elif _is_movie(stream):
            behind = _second_movie(stream, size)
        if behind is not None:
            raise joined(name, f"begins at byte {behind}, where the first one ends")


def _is_movie(stream: BinaryIO) -> bool:
    stream.seek(4)
    return stream.read(4) == b"ftyp"


def kind(file: Path) -> str | None:
    """What the first bytes look like: "libsndfile" or "ffmpeg" for who reads such a file, or None."""
    with file.open("rb") as stream:
        head = stream.read(12)
    if head.startswith(_LIBSNDFILE_MAGIC):
        return "libsndfile"
    if head.startswith(_FFMPEG_MAGIC + _AAC_MAGIC) or head[4:8] == b"ftyp":
        return "ffmpeg"
    return None


def is_audio_header(head: bytes) -> bool:
    """Whether a file or stream that begins so, with eight bytes or more, is no samples without a header."""
    return head.startswith((*_LIBSNDFILE_MAGIC, *_FFMPEG_MAGIC, _TAG_MAGIC)) or head[4:8] == b"ftyp"


class _Walk(NamedTuple):
    """How the chunks of a container follow each other.

    Attributes:
        head: bytes of a chunk before its content.
        size: where in these the size of the chunk is.
        order: of the bytes of that.
        counted: bytes of the head that the size counts.
        align: of the places of chunks.
    """

    head: int
    size: slice
    order: Literal["little", "big"]
    counted: int = 0
    align: int = 1


_RIFF_WALK = _Walk(8, slice(4, 8), "little", align=2)
_FORM_WALK = _Walk(8, slice(4, 8), "big", align=2)
_WALKS = {
    b"RIFF": _RIFF_WALK,
    b"RF64": _RIFF_WALK,
    b"RIFX": _FORM_WALK,
    b"FORM": _FORM_WALK,
    b"riff": _Walk(24, slice(16, 24), "little", counted=24, align=8),
    b"caff": _Walk(12, slice(4, 12), "big"),
}


def _begins_recording(head: bytes) -> bool:
    """Whether a WAV, AIFF, W64, CAF or AU file begins with these twelve bytes or more."""
    return (head[:4], head[8:12]) in _FORMS or head.startswith(_BEGINNINGS)


def _second_recording(stream: BinaryIO, magic: bytes, position: int, size: int) -> int | None:
    """Where a recording of the kind begins behind the chunks that follow the samples of another, or None."""
    walk = _WALKS.get(magic)
    # some writers fill the last chunk up, others do not
    for place in (position, position + position % 2):
        stream.seek(place)
        if _begins_recording(stream.read(12)):
            return place
    while position + 12 <= size:
        position += -position % (walk.align if walk else 1)
        stream.seek(position)
        head = stream.read(24)
        if _begins_recording(head):
            return position
        if walk is None or len(head) < walk.head or not head[:4].isascii() or not any(head[:4]):
            return None
        length = int.from_bytes(head[walk.size], walk.order)
        if length < walk.counted:
            return None
        position += walk.head + length - walk.counted
    return None


def _second_movie(stream: BinaryIO, size: int) -> int | None:
    """Where another MP4 begins behind the boxes of one, or None."""
    position = 0
    while position + 8 <= size:
        stream.seek(position)
        head = stream.read(16)
        if head[4:8] == b"moof":  # in fragments, whose readers go on with another
            return None
        if position and head[4:8] == b"ftyp":
            return position
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # to the end of the file, or none
            return None
        position += length
    return None


def announced_end(stream: BinaryIO) -> int | None:
    """Where the audio of a container ends by its own header, in bytes; None if it does not say."""
    chunk = _audio_chunk(stream)
    if chunk is None or is_open_size(chunk.length, chunk.field_bytes):
        return None
    return chunk.start + chunk.length


def mended(file: Path) -> BinaryIO | None:
    """Open a WAV or W64 file of which libsndfile would take too little or too much; None for any other file.

    A data chunk of WAV may say 0 bytes though audio follows: streaming writers and recorders that were
    stopped leave such files. libsndfile reads them to the end only if the size of the whole is 8, which is
    what this stream begins with. What follows the data chunk of W64 it takes for samples: this stream ends
    with these.
    """
    with file.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        if head == b"riff":
            end = announced_end(stream)
            return open_with_prefix(b"", file, 0, end) if end is not None and _chunk_at(stream, end) else None
        chunk = _audio_chunk(stream) if head == b"RIFF" else None
        if chunk is None or chunk.length != 0:
            return None
        stream.seek(chunk.start)
        following = stream.read(8)
    behind = file.stat().st_size - chunk.start - 8
    is_chunk = following[:4].isascii() and int.from_bytes(following[4:], "little") <= behind
    if behind < 0 or is_chunk:
        return None
    return open_with_prefix(b"RIFF" + (8).to_bytes(4, "little"), file, 8)


def _chunk_at(stream: BinaryIO, end: int) -> bool:
    """Whether a chunk of W64 begins where another ends, or at the next multiple of eight."""
    for place in (end, end + -end % 8):
        stream.seek(place)
        if stream.read(16).endswith(_W64_NAMES):
            return True
    return False


class _Chunk(NamedTuple):
    start: int
    length: int
    field_bytes: int


def _audio_chunk(stream: BinaryIO) -> _Chunk | None:
    head = stream.read(12)
    magic, form = head[:4], head[8:12]
    if form == b"WAVE" and (magic, form) in _FORMS:
        return _find_chunk(stream, 12, b"data", ">4sI" if magic == b"RIFX" else "<4sI")
    if (magic, form) in _FORMS:
        return _find_chunk(stream, 12, b"SSND", ">4sI")
    if magic == b"caff":
        return _find_chunk(stream, 8, b"data", ">4sq", align=1)
    if magic == b"riff":
        return _find_chunk(stream, 40, b"data", "<4s12xq", align=8, inclusive=True)
    if magic in {b".snd", b"dns."} and len(head) == 12:
        start, length = struct.unpack(">II" if magic == b".snd" else "<II", head[4:])
        return _Chunk(start, length, 4)
    return None


def _find_chunk(
    stream: BinaryIO, position: int, wanted: bytes, layout: str, *, align: int = 2, inclusive: bool = False
) -> _Chunk | None:
    """Walk over chunks to the one with the samples; layout is that of a chunk's name and size."""
    header_size = struct.calcsize(layout)
    long_size = 0
    while True:
        stream.seek(position)
        header = stream.read(header_size)
        if len(header) < header_size:
            return None
        name, length = struct.unpack(layout, header)
        if inclusive:
            length -= header_size
        if name == b"ds64":  # RF64: the true size of the data chunk
            long_size = int.from_bytes(stream.read(16)[8:], "little")
        elif name == wanted:
            if long_size and length == 0xFFFFFFFF:
                return _Chunk(position + header_size, long_size, 8)
            return _Chunk(position + header_size, length, 8 if layout.endswith("q") else 4)
        if not 0 <= length < _MOST_BYTES:
            return None
        position += header_size + -(-length // align) * align


def is_open_size(length: int, field_bytes: int) -> bool:
    """Whether a size is one that writers leave behind which could not go back to correct it."""
    if length <= 0:
        return True
    if field_bytes == 4:
        return 0x7F000000 <= length <= 0x80000000 or length >= 0xFFFF0000
    return length >= 1 << 60

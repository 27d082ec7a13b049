"""A cache of the audio of a training manifest.

Decoding and resampling thousands of compressed clips again in every pass would cost more than the
training itself, so the samples of a manifest are kept as 16-bit integers at 16 kHz in one file that is
mapped into memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sewcli.atomic import write_whole
from sewcli.audio import read_blocks
from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import AudioError, UsageError
from sewcli.inputs.manifest import Row, tell_bad
from sewcli.inputs.source import Source
from sewcli.training.left_out import LeftOut

log = logging.getLogger("sewcli")

FULL_SCALE = 32767.0
#: samples from the beginning of a clip, and from its middle, that tell it from others
_DIGESTED = 4000


class AudioCache:
    """The samples of many clips, mapped from one file.

    Attributes:
        samples: of all clips, one after another, shape (sum of lengths,), 16 bit.
        rows: the rows whose audio could be read, in manifest order; clip i belongs to rows[i].
        lengths: samples of each clip, shape (clips,).
    """

    def __init__(self, samples: NDArray[np.int16], lengths: NDArray[np.int64], rows: list[Row]) -> None:
        self.samples = samples
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self.lengths = lengths
        self.rows = rows

    @property
    def key(self) -> str:
        """Tells these clips from others, and from what their files held before."""
        return _key(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def clip(self, index: int) -> NDArray[np.float32]:
        """Samples of one clip, shape (n,), float32 within -1 ... 1."""
        piece = self.samples[self._starts[index] : self._starts[index + 1]]
        return piece.astype(np.float32) / np.float32(FULL_SCALE)

    def digest(self, index: int) -> bytes:
        """Tells a clip from others, wherever its file lies: by its length and some of its samples."""
        start, stop = self._starts[index : index + 2].tolist()
        middle = (start + stop) // 2
        some = (self.samples[first : min(first + _DIGESTED, stop)].tobytes() for first in (start, middle))
        return hashlib.blake2b(b"".join([str(stop - start).encode(), *some]), digest_size=8).digest()

    @classmethod
    def build(cls, rows: Sequence[Row], directory: Path, *, skip_bad: bool = False) -> AudioCache:
        """Decode the clips of `rows` into `directory`, or map what an earlier run left there.

        Args:
            rows: of the clips.
            directory: for their samples.
            skip_bad: leave out clips that cannot be read, with a warning each.

        Raises:
            UsageError: one cannot be read and may not be left out, or none can.
        """
        key = _key(rows)
        samples_file, index_file = directory / f"{key}.int16", directory / f"{key}.json"
        if not index_file.exists():
            directory.mkdir(parents=True, exist_ok=True)
            write_whole(index_file, json.dumps(_decode_all(rows, samples_file)).encode())
        entries: list[int | str] = json.loads(index_file.read_text())
        decoded = list(zip(rows, entries, strict=True))
        kept = [(row, entry) for row, entry in decoded if isinstance(entry, int)]
        if len(kept) < len(decoded):
            bad = [(row, entry) for row, entry in decoded if isinstance(entry, str)]
            told = [row.told(entry) for row, entry in bad]
            tell_bad(told, skip_bad=skip_bad, hint="mend or remove the file")
            log.warning("%d of %d clips left out: unreadable", len(bad), len(rows))
        if not kept:
            raise UsageError(f"none of {len(rows)} clips can be read, {rows[0].source.path} first")
        samples = np.memmap(samples_file, dtype=np.int16, mode="r")
        return cls(
            samples, np.array([length for _, length in kept], dtype=np.int64), [row for row, _ in kept]
        )


def usable_dev_clips(dev: AudioCache, max_seconds: float) -> NDArray[np.int64]:
    """Indices of the dev clips that are not longer than that; the others are told.

    A clip goes through the network in one piece, whose attention takes memory by the square of its length.

    Raises:
        UsageError: none is left.
    """
    kept = np.flatnonzero(dev.lengths <= max_seconds * SAMPLE_RATE)
    left_out = LeftOut("dev", len(dev))
    for clip in np.flatnonzero(dev.lengths > max_seconds * SAMPLE_RATE):
        seconds = dev.lengths[clip] / SAMPLE_RATE
        left_out.unfit(dev.rows[clip], f"longer than {max_seconds:g} s", f"{seconds:.1f} s")
    left_out.tell()
    if not kept.size:
        raise UsageError("dev: all clips are too long", hint="raise max_seconds, or give other dev clips")
    return kept


def _key(rows: Sequence[Row]) -> str:
    return hashlib.sha256("\n".join(_identity(row.source) for row in rows).encode()).hexdigest()[:16]


def _identity(source: Source) -> str:
    """What tells the audio of one row from that of another, and from what the file held before."""
    try:
        status = source.file.stat()
        version = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        version = "missing"
    part = "" if source.duration is None and not source.offset else f"@{source.offset}+{source.duration}"
    channel = "" if source.channel is None else f"#{source.channel}"
    return f"{source.file}{part}{channel} {version}"


def _decode_all(rows: Sequence[Row], target: Path) -> list[int | str]:
    """Write the samples of all clips one after another; their lengths, or why one cannot be read."""
    lengths: list[int | str] = []
    with target.open("wb") as out:
        for row in rows:
            try:
                samples = np.concatenate(list(read_blocks(row.source)))
            except AudioError as error:
                lengths.append(str(error))
                continue
            # tofile would not tell of a full disk by its number
            out.write(np.clip(np.rint(samples * FULL_SCALE), -32768, 32767).astype(np.int16).data)
            lengths.append(samples.size)
    return lengths

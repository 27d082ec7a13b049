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

from sewcli.audio import read_blocks
from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import AudioError, UsageError
from sewcli.inputs.manifest import Row
from sewcli.inputs.sources import Source

log = logging.getLogger("sewcli")

FULL_SCALE = 32767.0


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

    @classmethod
    def build(cls, rows: Sequence[Row], directory: Path) -> AudioCache:
        """Decode the clips of `rows` into `directory`, or map what an earlier run left there.

        Clips that cannot be read are left out, each with a warning that names it.

        Raises:
            UsageError: none can be read.
        """
        key = _key(rows)
        samples_file, index_file = directory / f"{key}.int16", directory / f"{key}.json"
        made_before = index_file.exists()
        if not made_before:
            directory.mkdir(parents=True, exist_ok=True)
            lengths = _decode_all(rows, samples_file)
            temporary = index_file.with_suffix(".tmp")
            temporary.write_text(json.dumps(lengths))
            temporary.replace(index_file)
        lengths = json.loads(index_file.read_text())
        for row, length in zip(rows, lengths, strict=True):
            if not length and made_before:  # else it was told just now, with the reason
                log.warning("left out, unreadable: %s", row.source.path)
        if not any(lengths):
            raise UsageError(f"none of {len(rows)} clips can be read, {rows[0].source.path} first")
        readable = [row for row, length in zip(rows, lengths, strict=True) if length]
        samples = np.memmap(samples_file, dtype=np.int16, mode="r")
        return cls(samples, np.array([length for length in lengths if length], dtype=np.int64), readable)


def usable_dev_clips(dev: AudioCache, max_seconds: float) -> NDArray[np.int64]:
    """Indices of the dev clips that are not longer than that; a warning counts the others.

    A clip goes through the network in one piece, whose attention takes memory by the square of its length.

    Raises:
        UsageError: none is left.
    """
    kept = np.flatnonzero(dev.lengths <= max_seconds * SAMPLE_RATE)
    if kept.size < len(dev):
        left_out = len(dev) - kept.size
        log.warning("%d of %d dev clips left out: longer than %g s", left_out, len(dev), max_seconds)
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
    return f"{source.file}{part} {version}"


def _decode_all(rows: Sequence[Row], target: Path) -> list[int]:
    """Write the samples of all clips one after another; lengths in samples, 0 where unreadable."""
    lengths = []
    with target.open("wb") as out:
        for row in rows:
            try:
                samples = np.concatenate(list(read_blocks(row.source)))
            except AudioError as error:
                log.warning("left out: %s", error)
                lengths.append(0)
                continue
            np.clip(np.rint(samples * FULL_SCALE), -32768, 32767).astype(np.int16).tofile(out)
            lengths.append(samples.size)
    return lengths

"""The entries of a journal: JSON Lines that tell how files came about, found by name without holding them."""

from __future__ import annotations

import errno
import io
import json
import threading
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Done(NamedTuple):
    """How a file came about, its size in bytes and a hash of them.

    Attributes:
        audio, run: see `journal.Journal.is_done`.
        size, content: of the file.
        source: path or address of the input, "" in the journals of earlier versions.
    """

    audio: str
    run: str
    size: int
    content: str
    source: str


class Entries:
    """The last entry of every file in a journal; several threads may ask for them.

    Sixteen bytes an entry are held, a hash of its name and its place; the rest is read when it is asked for.

    Args:
        file: the journal, which need not be there. What is added to it later is not looked at.

    Raises:
        OSError: it cannot be read.

    Attributes:
        files: how many files it has.
        spare: how many entries more, of files that have others.
    """

    def __init__(self, file: Path) -> None:
        import numpy as np

        if file.exists() and not file.is_file():
            raise OSError(errno.EINVAL, "the journal is no file", str(file))
        self._stream: BinaryIO = file.open("rb") if file.exists() else io.BytesIO()
        self._lock = threading.Lock()
        names, places = array("q"), array("q")
        for place, done in self._lines():
            names.extend(map(hash, done))
            places.extend([place] * len(done))
        hashes = np.asarray(names)
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._places = np.asarray(places)[order]
        self.files = int(np.count_nonzero(np.diff(self._hashes))) + bool(self._hashes.size)
        self.spare = len(names) - self.files

    def find(self, name: str) -> Done | None:
        """The last entry of a file, by its name in the journal."""
        found = self._last(name)
        return None if found is None else found[1]

    def lines(self) -> Iterator[bytes]:
        """A journal with these alone."""
        for place, done in self._lines():
            for name, one in done.items():
                last = self._last(name)
                if last is not None and last[0] == place:
                    yield line({name: one.size}, {name: one.content}, one.audio, one.run, one.source)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _last(self, name: str) -> tuple[int, Done] | None:
        begin, end = (self._hashes.searchsorted(hash(name), side) for side in ("left", "right"))
        for place in self._places[begin:end][::-1].tolist():
            done = _parsed(self._line(place)).get(name)
            if done is not None:  # else a name with the same hash
                return place, done
        return None

    def _lines(self) -> Iterator[tuple[int, dict[str, Done]]]:
        """Where each line is, and the files it tells of."""
        place = 0
        while True:
            text = self._line(place)
            if not text:
                return
            yield place, _parsed(text)
            place += len(text)

    def _line(self, place: int) -> bytes:
        with self._lock:  # the stream has one place for all threads
            self._stream.seek(place)
            return self._stream.readline()


def line(sizes: Mapping[str, int], hashes: Mapping[str, str], audio: str, run: str, source: str) -> bytes:
    """The entry of the files of one input."""
    entry = {"source": source, "audio": audio, "run": run, "files": dict(sizes), "hashes": dict(hashes)}
    return json.dumps(entry).encode() + b"\n"


def _parsed(text: bytes) -> dict[str, Done]:
    """The files of an entry; none for half a line, or none of ours."""
    try:
        entry = json.loads(text)
        audio, run, source = str(entry["audio"]), str(entry["run"]), str(entry.get("source", ""))
        hashes = entry["hashes"]
        return {
            name: Done(audio, run, int(size), hashes[name], source) for name, size in entry["files"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return {}

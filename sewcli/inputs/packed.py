"""Inputs that are kept for later in little memory."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Iterator

from sewcli.inputs.source import Source

#: sources that are packed together, and are in memory together when they are read
_TOGETHER = 1024


class Packed:
    """Sources in their order, compressed.

    Paths are much like their neighbours, so that a source takes some 10 bytes in place of 600, and lists of
    millions fit. Each time it is gone through the sources are made anew.

    Args:
        sources: the first of them.
    """

    def __init__(self, sources: Iterable[Source] = ()) -> None:
        self._packs: list[bytes] = []
        self._last: list[Source] = []
        for source in sources:
            self.append(source)

    def append(self, source: Source) -> None:
        """Add one at the end."""
        self._last.append(source)
        if len(self._last) == _TOGETHER:
            self._packs.append(zlib.compress(pickle.dumps(self._last), 1))
            self._last = []

    def __len__(self) -> int:
        return len(self._packs) * _TOGETHER + len(self._last)

    def __iter__(self) -> Iterator[Source]:
        for pack in self._packs:
            yield from pickle.loads(zlib.decompress(pack))
        yield from self._last

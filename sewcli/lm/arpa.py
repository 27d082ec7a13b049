"""ARPA files: text, one n-gram a line, with logarithms to base 10; gzip where the name ends in .gz."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sewcli.errors import UsageError
from sewcli.lm.smoothing import Estimate

#: logarithm of the probability of <s>, which nothing predicts
_NEVER = -99.0
_GZIP = b"\x1f\x8b"
_BINARY_HEAD = b"mmap lm http://kheafield.com/code"
_HEAD = "\\data\\"
_LINES = 50_000


def lines(words: Sequence[str], orders: Sequence[Estimate]) -> Iterator[bytes]:
    """An ARPA file, some thousand lines at a time.

    Args:
        words: by id.
        orders: the model.
    """
    sizes = [int(np.count_nonzero(one.kept)) for one in orders]
    head = [_HEAD, *(f"ngram {order}={size}" for order, size in enumerate(sizes, start=1)), ""]
    yield "\n".join(head).encode() + b"\n"
    spelled: list[str] = [""]
    for order, one in enumerate(orders, start=1):
        places = np.flatnonzero(one.kept)
        values = _logarithms(one, places)
        # for all n-grams, pruned ones too: those of the next order name their prefix by its place among all
        following = [""] * one.kept.size
        pending = [f"\n\\{order}-grams:"]
        for place, prefix, word, probability, backoff in zip(
            places.tolist(),
            one.counts.prefix[places].tolist(),
            one.counts.word[places].tolist(),
            *values,
            strict=True,
        ):
            text = words[word] if order == 1 else f"{spelled[prefix]} {words[word]}"
            following[place] = text
            ending = "" if order == len(orders) else f"\t{backoff:.6g}"
            pending.append(f"{probability:.6g}\t{text}{ending}")
            if len(pending) >= _LINES:
                yield "\n".join(pending).encode() + b"\n"
                pending.clear()
        spelled = following
        if pending:
            yield "\n".join(pending).encode() + b"\n"
    yield b"\n\\end\\\n"


def _logarithms(one: Estimate, places: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Those of probability and backoff, rounded; 0 is never -0."""
    probability = one.probability[places]
    least = 10.0**_NEVER
    logarithms = np.log10(np.maximum(probability, least))
    backoffs = np.log10(np.maximum(one.backoff[places], least))
    return (np.round(logarithms, 6) + 0.0).tolist(), (np.round(backoffs, 6) + 0.0).tolist()


def packed(content: Iterable[bytes]) -> Iterator[bytes]:
    """The same in gzip, the same bytes every time."""
    packer = zlib.compressobj(9, wbits=31)
    for piece in content:
        yield packer.compress(piece)
    yield packer.flush()


def open_text(file: Path) -> IO[bytes]:
    """A file to read, unpacked where it is gzip, whatever its name (OSError)."""
    # opened once: a pipe has its first bytes once
    stream = file.open("rb")
    packed = stream.peek(2)[:2] == _GZIP
    if not packed:
        return stream
    unpacked = gzip.GzipFile(fileobj=stream)
    unpacked.myfileobj = stream  # type: ignore[assignment] # is closed with it
    return unpacked  # type: ignore[return-value]


def is_arpa(file: Path) -> bool:
    """Whether a file begins as an ARPA file does, packed or not (OSError)."""
    with open_text(file) as stream:
        for line in stream:
            if line.strip():
                return line.strip() == _HEAD.encode()
            if len(line) > 1000:
                return False
    return False


def is_binary(file: Path) -> bool:
    """Whether a file begins as a binary of KenLM does (OSError)."""
    with file.open("rb") as stream:
        return stream.read(len(_BINARY_HEAD)) == _BINARY_HEAD


def read_unigrams(file: Path) -> dict[str, float]:
    """The words of an ARPA file and the logarithms of their probabilities; marks like <s> are left out.

    Raises:
        UsageError: it is damaged before the end of its words. OSError: it cannot be read.
    """
    found: dict[str, float] = {}
    with open_text(file) as stream:
        try:
            _pass_head(stream)
            for line in takewhile(lambda line: not line.startswith(b"\\"), stream):
                if line.strip():
                    probability, word = line.decode().split("\t")[:2]
                    found[word.strip()] = float(probability)
        except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(
                f"{file} is damaged, or ends too early: {error}", hint="build or fetch it again"
            ) from error
    if not found:
        raise UsageError(f"{file} has no words", hint="it is no ARPA file, or it is cut")
    return {word: value for word, value in found.items() if not _is_mark(word) and math.isfinite(value)}


def check_head(file: Path) -> None:
    """Refuse an ARPA file whose counts are none, with which KenLM would end the process (UsageError)."""
    with open_text(file) as stream:
        try:
            _pass_head(stream)
        except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(f"{file} is damaged: {error}", hint="build or fetch it again") from error


def _pass_head(stream: IO[bytes]) -> None:
    """Read up to the first word (ValueError where a count of n-grams is none)."""
    for line in map(bytes.strip, stream):
        if line == b"\\1-grams:":
            return
        if line.startswith(b"ngram ") and not line.partition(b"=")[2].strip().isdigit():
            raise ValueError(f"{line[:40].decode('utf-8', 'replace')!r} counts nothing")


def _is_mark(word: str) -> bool:
    return word.lower() in ("<s>", "</s>", "<unk>")

"""A place on disk for what can be read only once, standard input and pipes, and for what is elsewhere."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from sewcli.audio.checks import check_place, empty, shown
from sewcli.audio.streams import StreamSource
from sewcli.errors import AudioError
from sewcli.inputs.source import Source
from sewcli.inputs.standard_input import standard_input
from sewcli.temporary import temporary_directory

_COPY_BYTES = 1 << 20
#: bytes of ASCII text
_TEXT = bytes([9, 10, 13, *range(32, 127)])


@contextmanager
def on_disk(source: Source, stdin: BinaryIO | None = None) -> Iterator[Path]:
    """Yield a regular, readable, non-empty file with the audio of a source.

    Standard input, pipes, open files and what is at an address are copied to a temporary file, block by
    block, which is deleted at the end.

    Args:
        source: what to read.
        stdin: where "-" is read from; sys.stdin.buffer by default.

    Raises:
        AudioError: there is nothing to read at its path, or no room for the copy.
    """
    name = shown(source)
    if source.is_stdin:
        stream = stdin if stdin is not None else standard_input()
        with _copied(name, stream, is_raw=source.raw is not None) as copy:
            yield copy
    elif isinstance(source, StreamSource):
        with _copied(name, source.stream, is_raw=False) as copy:
            yield copy
    elif source.is_url:
        with _fetched(name, source.path) as copy:
            yield copy
    elif stat.S_ISREG(check_place(name, source.file).st_mode):
        yield source.file
    else:  # a named pipe, or the /dev/fd/63 of a shell's <(command)
        with source.file.open("rb") as stream, _copied(name, stream, is_raw=source.raw is not None) as copy:
            yield copy


@contextmanager
def _fetched(name: str, url: str) -> Iterator[Path]:
    from sewcli.audio.download import download

    with temporary_directory() as folder:
        copy = folder / "audio"
        download(name, url, copy)
        if copy.stat().st_size == 0:
            raise empty(name)
        yield copy


@contextmanager
def _copied(name: str, stream: IO[bytes], *, is_raw: bool) -> Iterator[Path]:
    with temporary_directory() as folder:
        copy = folder / "audio"
        try:
            with copy.open("wb") as target:
                head = stream.read(_COPY_BYTES)
                if not is_raw:
                    _check_head(name, head)
                target.write(head)
                shutil.copyfileobj(stream, target, _COPY_BYTES)
        except AudioError:
            raise
        except OSError as error:
            raise AudioError(
                f"{name}: cannot be copied to {folder}: {error.strerror}",
                hint="make room there, or set TMPDIR to another place",
                code="unreadable",
            ) from error
        if copy.stat().st_size == 0:
            raise empty(name)
        yield copy


def _check_head(name: str, head: bytes) -> None:
    """Refuse a stream that begins with text or zeros alone: it may never end, and would fill the disk."""
    if len(head) < _COPY_BYTES:
        return
    what = "text" if not head.translate(None, _TEXT) else "zeros" if not head.strip(b"\0") else None
    if what is not None:
        raise AudioError(
            f"{name}: not audio: its first {_COPY_BYTES >> 20} MiB are {what}",
            hint="check the program that writes it; samples without a header need --raw-rate",
            code="not_audio",
        )

"""The journal of an output directory: which files are done, from which audio and by which settings.

It is a file of JSON Lines to which one line is added when the files of an input are in place. A kill at any
moment leaves at worst files without a line, which are written again, or half a line, which is passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from sewcli.acoustic.files import loaded_files
from sewcli.atomic import RESERVED, write_whole
from sewcli.cli.output.entries import Entries, line
from sewcli.cli.output.planned import Planned
from sewcli.inputs.source import Source
from sewcli.inputs.urls import presentable, unsigned
from sewcli.locking import lock
from sewcli.pipeline.ahead import mapped_ahead

JOURNAL = f"{RESERVED}journal.jsonl"
LOCK = f"{RESERVED}lock"
#: who holds it, for messages
RESUMED = "another run with --resume"


#: seconds to wait for the lock: a run without --resume may look at it
_PATIENCE = 0.5
#: threads that look inputs up: their audio is hashed, or its server is asked
LOOKING = 4
#: entries beyond two for each file that a journal may have before it is written anew
_SPARE = 1000


class Journal:
    """The journal of one directory, held by one process at a time.

    Args:
        root: the output directory, which is there.

    Raises:
        UsageError: another run holds it. OSError: it cannot be read or written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        with ExitStack() as failed:
            failed.callback(lock(root / LOCK, RESUMED, patience=_PATIENCE).release)
            self._done = failed.enter_context(closing(Entries(root / JOURNAL)))
            if self._done.spare > self._done.files + _SPARE:
                write_whole(root / JOURNAL, self._done.lines())
                self._done.close()
                self._done = failed.enter_context(closing(Entries(root / JOURNAL)))
            self._file = os.open(root / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            failed.callback(os.close, self._file)
            self._end_last_line()
            self._held = failed.pop_all()

    def is_done(self, one: Planned, audio: str, run: str) -> bool:
        """Whether all its files were written from this audio by such a run, and are still there."""
        return _is_done(self._done, self._root, one, audio, run)

    def objection(self, file: Path, source: Source, audio: str) -> str | None:
        """Why a file that is there is not to be replaced by the result of an input; None where it may be.

        Args:
            file: of the result.
            source: the input.
            audio: its fingerprint.
        """
        done = self._done.find(_name(file, self._root))
        try:
            size = file.lstat().st_size
        except OSError:
            return None
        if done is None or done.size != size or done.content != _hash_or_none(file):
            return "was not as an earlier run had left it"
        # the same audio may come by another path, and other audio by the same: only both is another input
        if done.source not in ("", _place(source)) and done.audio != audio:
            return f"is the result of {done.source}"
        return None

    def record(self, files: Sequence[Path], source: Source, audio: str, run: str) -> None:
        """Note that these files of an input are in place (OSError where there is no room for that)."""
        sizes = {_name(file, self._root): file.stat().st_size for file in files}
        hashes = {_name(file, self._root): _hash(file) for file in files}
        self._append(line(sizes, hashes, audio, run, _place(source)))

    def close(self) -> None:
        """Let others have the directory."""
        self._held.close()

    def _end_last_line(self) -> None:
        with (self._root / JOURNAL).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 1))
            if stream.read() not in (b"", b"\n"):
                self._append(b"\n")

    def _append(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._file, line) :]


def not_done(root: Path, planned: Iterable[Planned], run: str) -> Iterator[Planned]:
    """What a run with --resume would do, by the journal of a directory that need not be there."""

    def looked_up(one: Planned) -> tuple[Planned, bool]:
        audio = audio_fingerprint(one.source)
        return one, audio is not None and _is_done(done, root, one, audio, run)

    with (
        closing(Entries(root / JOURNAL)) as done,
        closing(mapped_ahead(planned, looked_up, workers=LOOKING)) as inputs,
    ):
        yield from (one for one, is_done in inputs if not is_done)


def _is_done(done: Entries, root: Path, one: Planned, audio: str, run: str) -> bool:
    for file in one.files:
        try:
            size = file.stat().st_size
        except OSError:
            return False
        found = done.find(_name(file, root))
        if found is None or (found.audio, found.run, found.size) != (audio, run, size):
            return False
        # another run may have written a file of the same size; the audio, which is larger, is hashed too
        if found.content != _hash_or_none(file):
            return False
    return True


def _name(file: Path, root: Path) -> str:
    """A file in the journal: its path from the directory, which may lead out of it."""
    try:
        return os.path.relpath(file, root)
    except ValueError:  # on another drive
        return os.path.abspath(file)  # noqa: PTH100 - resolve() follows links


def _place(source: Source) -> str:
    """An input in the journal: its address without a password, or its absolute path."""
    return presentable(source.path) if source.is_url else os.path.abspath(source.file)  # noqa: PTH100 - as above


def run_fingerprint(content: Mapping[str, Any], model: Path) -> str:
    """A hash of all that can change what a run writes.

    Args:
        content: settings, model and layout, as JSON.
        model: its directory; where the model has no revision, names and contents of its files count.
    """
    counted: dict[str, Any] = dict(content)
    if counted["model"]["revision"] is None:
        counted["files"] = [(file.name, _hash(file)) for file in loaded_files(model)]
    return hashlib.blake2b(json.dumps(counted, sort_keys=True).encode(), digest_size=20).hexdigest()


def audio_fingerprint(source: Source) -> str | None:
    """A hash of an input's bytes, the part that is read and its text; None for what cannot be told apart.

    The bytes at an address are not fetched for that: its server says whether they are the same.
    """
    if source.error is not None or source.is_stdin:
        return None
    content = _at_address(source.path) if source.is_url else _on_disk(source.file)
    if content is None:
        return None
    text = (
        ""
        if source.text is None
        else hashlib.blake2b(source.text.encode(errors="surrogatepass")).hexdigest()[:16]
    )
    return f"{content}:{source.offset}:{source.duration}:{source.channel}:{text}"


def _at_address(url: str) -> str | None:
    from sewcli.audio.download import version

    said = version(url)
    if said is None:
        return None
    # two servers may have the same tag for their files
    state = f"{unsigned(url)} {said}"
    return hashlib.blake2b(state.encode(errors="surrogatepass"), digest_size=20).hexdigest()


def _on_disk(file: Path) -> str | None:
    try:
        if not file.is_file():
            return None
        status = file.stat()
        return _content(file, status.st_size, status.st_mtime_ns)
    except OSError:
        return None


def _content(file: Path, size: int, modified: int) -> str:
    with _hashing(file):  # threads that ask for one file at a time wait for the first of them
        return _remembered(file, size, modified)


@lru_cache(maxsize=16)
def _hashing(file: Path) -> threading.Lock:  # noqa: ARG001 - it tells them apart
    return threading.Lock()


@lru_cache(maxsize=16)  # the rows of a manifest name the same long file again and again
def _remembered(file: Path, size: int, modified: int) -> str:  # noqa: ARG001 - they tell a changed file
    return _hash(file)


def _hash_or_none(file: Path) -> str | None:
    """None for a file that cannot be read, which is as good as changed."""
    try:
        return _hash(file)
    except OSError:
        return None


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=20)).hexdigest()

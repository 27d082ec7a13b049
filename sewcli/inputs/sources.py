"""What to read, in order: the inputs of a command as a stream of sources.

Nothing is opened here but lists and folders: a file that does not exist is a source as well, and fails
when its turn comes. Only what makes the whole command meaningless is a UsageError.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from sewcli.errors import UsageError
from sewcli.inputs.folders import Walk, is_folder
from sewcli.inputs.formats import INSTALL_MEDIA
from sewcli.inputs.lists import check_list, entries_of, list_name
from sewcli.inputs.selection import EVERYTHING, Selection
from sewcli.inputs.source import STDIN, Source
from sewcli.inputs.standard_input import check_read_once, standard_input
from sewcli.inputs.urls import check_url, is_url

_log = logging.getLogger("sewcli")


def check(
    inputs: Sequence[str],
    files_from: str | None = None,
    selection: Selection = EVERYTHING,
    *,
    offline: bool = False,
) -> None:
    """Raise what is wrong with the inputs as a whole, before anything runs.

    Folders are listed up to their first audio file; no file is opened.

    Raises:
        UsageError: there is no input, one is an empty string, standard input is used twice, a folder holds
            no audio, an address needs what is not there, or the list is not a readable file.
    """
    if not inputs and files_from is None:
        raise UsageError(
            "no input given", hint="name files or folders, - for standard input, or --files-from FILE"
        )
    if "" in inputs:
        raise UsageError("an input is an empty string", hint="look for a shell variable that is not set")
    check_read_once([*inputs, files_from])
    if STDIN in (*inputs, files_from):
        standard_input()
    for given in inputs:
        if is_url(given):
            check_url(given, offline=offline)
        elif given != STDIN and is_folder(given):
            walk = Walk(given, selection)
            if not walk.has_files(given):
                raise walk.nothing_found()
    if files_from is not None and files_from != STDIN:
        check_list(files_from)


def expand(
    inputs: Sequence[str],
    *,
    files_from: str | None = None,
    null_separated: bool = False,
    stdin: BinaryIO | None = None,
    selection: Selection = EVERYTHING,
) -> Iterator[Source]:
    """Yield one source an input, in order: the inputs first, then the entries of the list.

    Folders are read recursively with their entries sorted by name; hidden entries and links to folders are
    skipped, and only files count whose format can be decoded on this machine, by their extension. A list is
    streamed: an entry is yielded as soon as its line is there. A line that begins with { is a row of a NeMo
    manifest, with its path relative to the folder of the manifest, or an error object of --failures, with its
    path as it was given; any other line is a path as it stands (also if it is a folder, which then fails as
    an input). With null_separated every entry is a path. A row is cut to [offset, offset + duration) only if
    it has the key "offset": the duration alone describes a whole file.

    Args:
        inputs: files, folders and "-".
        files_from: a file that lists inputs, or "-" for standard input.
        null_separated: the entries of the list end with a NUL byte, as from find -print0.
        stdin: where the list "-" is read from; sys.stdin.buffer by default.
        selection: which entries of a folder count; inputs that are named always do.

    Raises:
        UsageError: as check(), which it does not call; also if the list turns out to be empty and there
            is no other input.
    """
    for given in inputs:
        if given != STDIN and is_folder(given):
            yield from _folder(given, selection)
        else:
            yield Source(given, Path(given))
    if files_from is None:
        return
    listed = False
    for listed_source in entries_of(files_from, null_separated, stdin):
        listed = True
        yield listed_source
    if not listed and not inputs:
        raise UsageError(
            f"{list_name(files_from)} lists no input", hint="give one path or manifest row a line"
        )


def _folder(folder: str, selection: Selection) -> Iterator[Source]:
    walk = Walk(folder, selection)
    found = False
    for path, error in walk.files(folder):
        found = True
        yield Source(path, Path(path), root=None if error else folder, error=error, has_file=error is None)
    if not found:
        raise walk.nothing_found()
    if walk.skipped:
        _log.warning(
            "%s: %d files passed over (%s); to read them: %s",
            folder,
            walk.skipped.total(),
            " ".join(sorted(walk.skipped)),
            INSTALL_MEDIA,
        )

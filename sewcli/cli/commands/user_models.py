"""The user's models.toml, changed with its comments and its order kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sewcli.atomic import write_whole
from sewcli.errors import ModelError, SewError, UsageError
from sewcli.models_toml import bad_registry, parse_registry, read_toml
from sewcli.registry import find_models_toml, user_models_toml
from sewcli.toml import parse_toml

_log = logging.getLogger("sewcli")

#: seconds to wait for another process
_PATIENCE = 20.0


@contextmanager
def alone() -> Iterator[None]:
    """While no other process decides on a change of the user's models.toml, or makes one.

    Raises:
        SewError: another does not end.
    """
    from filelock import FileLock, Timeout

    file = user_models_toml()
    lock = FileLock(file.with_name(".models.toml.lock"), timeout=_PATIENCE)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise SewError(f"another process is changing {file}", hint="try again", code="output") from error
    except (OSError, NotImplementedError) as error:
        # the lock is of another user, or the file system has none: a change is whole all the same
        _log.debug("no lock for %s: %s", file, error)
    try:
        yield
    finally:
        lock.release()


def change(edit: Callable[[dict[str, Any]], None]) -> Path:
    """Change the user's models.toml, which is made if it is not there; see `alone`.

    Args:
        edit: changes the document, a mapping as TOML has it, in place.

    Returns:
        The file.

    Raises:
        ModelError: the file is bad.
        UsageError: the change would make it so; it is not written.
        SewError: it cannot be written.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    file = user_models_toml()
    try:
        text = file.read_bytes().decode("utf-8-sig") if file.is_file() else ""
        document: Any = tomlkit.parse(text)
    except (TOMLKitError, UnicodeDecodeError, RecursionError) as error:
        raise bad_registry(file, f"is not valid TOML: {error}") from error
    except OSError as error:
        raise bad_registry(file, f"cannot be read: {error.strerror or error}") from error
    edit(document)
    text = tomlkit.dumps(document)
    source = find_models_toml()
    try:
        # as it will be read: a new table may stand before keys of another, which then are its own
        changed = parse_toml(text.encode())
        parse_registry(changed, file, packaged=parse_registry(read_toml(source), source))
    except ModelError as error:
        raise UsageError(error.message, hint="nothing was changed") from error
    if _filled(changed) != _filled(document.unwrap()):
        raise UsageError(
            f"{file} cannot be changed with its keys where they are",
            hint="nothing was changed: write it with tables, [models.ALIAS] and [defaults]",
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # what a link points to, which may be kept elsewhere, is written
        write_whole(file.resolve(), text.encode())
    except OSError as error:
        raise SewError(f"cannot write {file}: {error.strerror}", code="output") from error
    return file


def _filled(content: dict[str, Any]) -> dict[str, Any]:
    """The content without tables that are empty, which need not be written."""
    return {name: value for name, value in content.items() if value != {}}

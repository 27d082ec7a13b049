"""The user's models.toml, changed with its comments and its order kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sewcli.cli.atomic import write_whole
from sewcli.errors import ModelError, SewError, UsageError
from sewcli.models_toml import bad_registry, parse_registry, read_toml
from sewcli.registry import find_models_toml, user_models_toml

#: seconds to wait for another process
_PATIENCE = 20.0


def change(edit: Callable[[dict[str, Any]], None]) -> Path:
    """Change the user's models.toml, which is made if it is not there.

    Args:
        edit: changes the document, a mapping as TOML has it, in place.

    Returns:
        The file.

    Raises:
        ModelError: the file is bad.
        UsageError: the change would make it so; it is not written.
        SewError: it cannot be written.
    """
    from filelock import FileLock, Timeout

    file = user_models_toml()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # two at once would lose the change of one
        with FileLock(file.with_name(".models.toml.lock"), timeout=_PATIENCE):
            _change(file, edit)
    except Timeout as error:
        raise SewError(f"another process is writing {file}", hint="try again", code="output") from error
    except OSError as error:
        raise SewError(f"cannot write {file}: {error.strerror}", code="output") from error
    return file


def _change(file: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        text = file.read_bytes().decode("utf-8-sig") if file.is_file() else ""
        document: Any = tomlkit.parse(text)
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise bad_registry(file, f"is not valid TOML: {error}") from error
    except OSError as error:
        raise bad_registry(file, f"cannot be read: {error.strerror or error}") from error
    edit(document)
    source = find_models_toml()
    try:
        parse_registry(document.unwrap(), file, packaged=parse_registry(read_toml(source), source))
    except ModelError as error:
        raise UsageError(error.message, hint="nothing was changed") from error
    write_whole(file, tomlkit.dumps(document).encode())

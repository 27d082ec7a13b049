"""Settings in files: the project's ./sew.toml or ./pyproject.toml, and the user's config.toml.

Files become values here, each with the place it stands in; what a key means, the options of the commands
say (`sewcli.cli.options.defaults`).
"""

from __future__ import annotations

import datetime
import errno
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sewcli.errors import UsageError
from sewcli.nearest import meant
from sewcli.toml import parse_toml

Known = Mapping[str, Iterable[str]]
"""The keys of each command."""

_log = logging.getLogger("sewcli")

_PROJECT_FILE = Path("sew.toml")
_PYPROJECT_FILE = Path("pyproject.toml")
_TABLE = "tool.sew"
#: that files be replaced: a folder may be a stranger's, and its settings name the files
_CONSENT = "overwrite"
#: what Typer takes for yes in the variable of an option
_TRUE = ("1", "true", "t", "yes", "y", "on")


def is_true(text: str) -> bool:
    """Whether the value of a variable says yes, as Typer reads those of options."""
    return text.strip().lower() in _TRUE


@dataclass(frozen=True)
class SettingsFile:
    """A place where settings are looked for.

    Attributes:
        path: of the file; it need not be there.
        source: "project" or "user".
        table: the table of the file that holds them, or "" for the whole file.
    """

    path: Path
    source: Literal["project", "user"]
    table: str = ""


@dataclass(frozen=True)
class Setting:
    """A value that a file gives an option.

    Attributes:
        key: the option without its dashes, as "batch-seconds".
        command: the only one it is for, or None.
        value: as text, in the spelling of the command line; a list for an array.
        file: where it stands.
    """

    key: str
    command: str | None
    value: str | list[str]
    file: SettingsFile

    @property
    def place(self) -> str:
        """The file, and the table in it."""
        table = ".".join(part for part in (self.file.table, self.command) if part)
        return f"{self.file.path} [{table}]" if table else str(self.file.path)

    @property
    def refusal(self) -> str | None:
        """Why a command that has the option does not run, or None."""
        if self.key != _CONSENT or self.file.source == "user" or self.value == "false":
            return None
        return "does not count here: whoever enters a folder has not agreed to it"

    def check(self) -> None:
        """Raise UsageError where it is refused."""
        if self.refusal:
            raise UsageError(
                f"{self.place}: {self.key} {self.refusal}",
                hint=f"set it with --{self.key}, or in the config.toml of the user",
            )


def user_directory() -> Path:
    """The user's configuration directory: config.toml and models.toml; it need not be there."""
    from platformdirs import user_config_path

    return user_config_path("sew", appauthor=False)


def is_closed(folder: Path) -> bool:
    """Whether files in it cannot even be looked for: a service may run there, or with another user's HOME."""
    try:
        (folder / "config.toml").stat()
    except PermissionError:
        _log.debug("%s cannot be entered: no settings are taken from there", folder)
        return True
    except OSError:
        return False
    return False


def settings_files() -> list[SettingsFile]:
    """Where settings are looked for, the weakest first.

    `[tool.sew]` of pyproject.toml counts where there is no sew.toml.
    """
    files = []
    user = SettingsFile(user_directory() / "config.toml", "user")
    if not is_closed(user.path.parent):
        files.append(user)
    if not is_closed(_PROJECT_FILE.parent):
        if not _PROJECT_FILE.exists() and _mentions_sew(_PYPROJECT_FILE):
            files.append(SettingsFile(_PYPROJECT_FILE, "project", _TABLE))
        else:
            files.append(SettingsFile(_PROJECT_FILE, "project"))
    return files


def _mentions_sew(pyproject: Path) -> bool:
    """Whether a pyproject.toml may be for sew: that of others is none of its business, be it good or bad."""
    try:
        raw = _content(pyproject)
    except OSError:
        return False
    if b"sew" not in raw:
        return False
    try:
        tool = parse_toml(raw).get("tool")
    except ValueError:
        return _TABLE.encode() in raw
    return isinstance(tool, dict) and "sew" in tool


def _content(path: Path) -> bytes:
    """What is in a file (OSError; a pipe would block, and a device need not end)."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is a pipe" if path.is_fifo() else "it is no file")
    return path.read_bytes()


def read_settings(known: Known) -> list[Setting]:
    """All settings of all files, the weakest first.

    A key at the top of a file is for every command that has it; one in a table named by a command is for
    that command, and is the stronger one.

    Raises:
        UsageError: a file cannot be read, is not TOML, or has a key that no command knows.
    """
    return [setting for file in settings_files() for setting in _read_file(file, known)]


def _read_file(file: SettingsFile, known: Known) -> Iterator[Setting]:
    try:
        raw = _content(file.path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _bad(file, f"cannot be read: {error.strerror or error}") from error
    try:
        content = parse_toml(raw)
    except ValueError as error:
        raise _bad(file, f"is not valid TOML: {error}") from error
    for name in filter(None, file.table.split(".")):
        content = content.get(name, {})
        if not isinstance(content, dict):
            raise _bad(file, f"{file.table} is not a table")
    everywhere = {key for keys in known.values() for key in keys}
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    shared = {name: value for name, value in content.items() if name not in tables}
    yield from _settings(file, shared, None, everywhere)
    for command, table in tables.items():
        if command not in known:
            others = ", ".join(f"[{name}]" for name in known)
            raise _unknown(file, f"table [{command}]", command, known, f"tables are {others}")
        yield from _settings(file, table, command, known[command])


def _settings(
    file: SettingsFile, table: Mapping[str, Any], command: str | None, keys: Iterable[str]
) -> Iterator[Setting]:
    spelled: dict[str, str] = {}
    for name, value in table.items():
        key = name.replace("_", "-")
        if key in spelled:
            raise _bad(file, f"{spelled[key]} and {name} are one setting")
        spelled[key] = name
        where = f"[{command}] {name}" if command else name
        if key not in keys:
            told = f"`sew {command or 'transcribe'} --help`"
            hint = f"keys are the options that have a variable in {told}, but for --debug"
            raise _unknown(file, f"key {where}", key, keys, hint)
        if isinstance(value, list):
            yield Setting(key, command, [_text(file, where, item) for item in value], file)
        else:
            yield Setting(key, command, _text(file, where, value), file)


def _text(file: SettingsFile, where: str, value: Any) -> str:
    """A value as the command line would have it, so that the option checks both alike."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | datetime.time):
        return str(value)
    raise _bad(file, f"{where}: a {type(value).__name__} can be no setting")


def _unknown(file: SettingsFile, what: str, name: str, names: Iterable[str], hint: str) -> UsageError:
    return UsageError(f"{file.path}: unknown {what}{meant(name, names)}", hint=hint)


def _bad(file: SettingsFile, problem: str) -> UsageError:
    return UsageError(f"{file.path}: {problem}", hint="correct the file")

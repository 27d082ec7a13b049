"""The form of a `models.toml`: one table an alias, and the default model of each task."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sewcli.errors import ModelError
from sewcli.model_defaults import OptionDefaults
from sewcli.toml import parse_toml

FAMILIES = ("sew", "sew-d")
TASKS = ("ctc", "classification", "features")
DEFAULT_REVISION = "main"

_PACKAGE = Path(__file__).resolve().parent
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
_TEXT_KEYS = ("family", "task", "language", "licence", "description")
#: categories of characters that would break a line or a table: controls, separators of lines and paragraphs
_NO_TEXT = ("Cc", "Zl", "Zp")
OFFSET_KEYS = ("start_offset", "end_offset")
_KEYS = frozenset(
    ("repo", "path", "revision", *_TEXT_KEYS, "parameters", "size_mb", *OFFSET_KEYS, *OptionDefaults.names())
)
#: seconds; what is further off than that is no bias
_MOST_OFFSET = 0.5


@dataclass(frozen=True)
class ModelSpec:
    """What is known about a model before any of its files is read.

    Exactly one of `repo` and `path` is set. What only a registry entry can tell (family, task, language,
    licence, sizes) is None for a directory or a hub identifier that no alias stands for.

    Attributes:
        alias: the name in the registry, or None.
        repo: hub identifier (`owner/name`), or None.
        path: local directory, or None.
        revision: commit hash, tag or branch of a hub model; None for a directory.
        family: `sew` or `sew-d`.
        task: `ctc`, `classification` or `features`.
        language: ISO 639-1 code.
        licence: SPDX identifier of the weights.
        parameters: number of parameters in millions.
        size_mb: size of the weights in megabytes.
        description: one line.
        start_offset, end_offset: seconds to add to the starts and ends of words.
        defaults: of options that have other values for this model.
        embedded: True for a model that comes with the package.
        source: of the alias, the packaged models.toml or the user's; None where there is no alias.
        shadows: True for an alias of the user's that takes the place of a packaged one.
    """

    alias: str | None = None
    repo: str | None = None
    path: Path | None = None
    revision: str | None = None
    family: str | None = None
    task: str | None = None
    language: str | None = None
    licence: str | None = None
    parameters: float | None = None
    size_mb: float | None = None
    description: str = ""
    start_offset: float = 0.0
    end_offset: float = 0.0
    defaults: OptionDefaults = field(default_factory=OptionDefaults)
    embedded: bool = False
    source: Literal["packaged", "user"] | None = None
    shadows: bool = False

    def defaults_for(self, task: str) -> OptionDefaults:
        """Its defaults of options if `task` is its own; hidden states go by the general ones."""
        return self.defaults if self.task in (None, task) else OptionDefaults()

    @property
    def name(self) -> str:
        """What to call the model in a message or after `-m`: alias, else hub identifier, else directory."""
        return self.alias or self.repo or str(self.path)


@dataclass(frozen=True)
class Registry:
    """The content of a `models.toml`, or of the user's laid over the packaged one.

    Attributes:
        source: the file it was read from, the user's where there is one.
        models: specifications by alias, in the order of the file.
        defaults: alias by task.
    """

    source: Path
    models: Mapping[str, ModelSpec]
    defaults: Mapping[str, str]

    def default_model(self, task: str) -> ModelSpec:
        """Find the model that a command takes when it is given none.

        Returns the specification under `[defaults]` for the task; raises ModelError when there is none.
        """
        alias = self.defaults.get(task)
        if alias is None:
            raise ModelError(
                f"{self.source} has no default model for the task {task!r}",
                hint="choose a model with -m",
                code="unknown_model",
            )
        return self.models[alias]

    def default_tasks(self, spec: ModelSpec) -> list[str]:
        """List the tasks a specification is the default of."""
        return [task for task, alias in self.defaults.items() if spec.alias == alias]


def read_toml(source: Path) -> dict[str, Any]:
    """The content of a TOML file (ModelError, naming it, where it cannot be read)."""
    try:
        return parse_toml(source.read_bytes())
    except OSError as error:
        raise bad_registry(source, f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise bad_registry(source, f"is not valid TOML: {error}") from error


def parse_registry(content: Mapping[str, Any], source: Path, *, packaged: Registry | None = None) -> Registry:
    """Check the content of a models.toml.

    Args:
        content: as TOML has it.
        source: the file, for messages; paths in the user's are relative to its folder.
        packaged: what the user's file is laid over; None where this is the packaged file.

    Raises:
        ModelError: a key or a value means nothing here; the message names file and alias.
    """
    if unknown := sorted(content.keys() - {"defaults", "models"}):
        raise bad_registry(source, f"unknown table {unknown[0]!r} (there are [defaults] and [models.ALIAS])")
    tables = _table(content.get("models", {}), source, "models")
    models = dict(packaged.models) if packaged else {}
    for alias, table in tables.items():
        spec = _parse_model(alias, table, source, packaged=packaged is None)
        models[alias] = replace(spec, shadows=alias in models)
    own = _parse_defaults(_table(content.get("defaults", {}), source, "defaults"), models, source)
    defaults = {**packaged.defaults, **own} if packaged else own
    for task, alias in defaults.items():
        if models[alias].shadows and task not in ("features", models[alias].task):
            raise bad_registry(
                source,
                f"[models.{alias}] takes the place of the default model for {task}, but is for another",
            )
    return Registry(source=source, models=models, defaults=defaults)


def is_repo(name: str) -> bool:
    """Whether a name has the form of a hub identifier, owner/name."""
    return bool(_REPO.fullmatch(name)) and not any(bad in name for bad in ("--", "..")) and len(name) <= 96


def _parse_model(alias: str, value: Any, source: Path, *, packaged: bool) -> ModelSpec:
    where = f"models.{alias}"
    if not _ALIAS.fullmatch(alias):
        raise bad_registry(
            source, f"alias {alias!r}: only letters, digits, dot, dash and underscore can be used"
        )
    table = _table(value, source, where)
    if unknown := sorted(table.keys() - _KEYS):
        raise bad_registry(source, f"[{where}]: unknown key {unknown[0]!r}")

    # what the user does not tell of a model is not known; of a packaged one all is told
    given = _TEXT_KEYS if packaged else [key for key in _TEXT_KEYS if key in table]
    text = {key: _text(table, key, source, where) for key in given}
    for key, told in text.items():
        if any(unicodedata.category(character) in _NO_TEXT for character in told):
            raise bad_registry(source, f"[{where}]: {key} has to be one line without tabs, not {told!r}")
    for key, allowed in (("family", FAMILIES), ("task", TASKS)):
        if key in text and text[key] not in allowed:
            raise bad_registry(source, f"[{where}]: {key} is {text[key]!r}, not one of {', '.join(allowed)}")
    spec = ModelSpec(
        alias=alias,
        family=text.get("family"),
        task=text.get("task"),
        language=text.get("language"),
        licence=text.get("licence"),
        description=text.get("description", ""),
        source="packaged" if packaged else "user",
        parameters=_number(table, "parameters", source, where),
        size_mb=_number(table, "size_mb", source, where),
        start_offset=read_offset(table, "start_offset", source, where),
        end_offset=read_offset(table, "end_offset", source, where),
        defaults=read_option_defaults(table, source, where),
    )
    if ("repo" in table) == ("path" in table):
        raise bad_registry(source, f"[{where}]: exactly one of repo and path has to be given")

    if "repo" in table:
        repo = _text(table, "repo", source, where)
        if not is_repo(repo):
            raise bad_registry(source, f"[{where}]: repo {repo!r} is not of the form owner/name")
        revision = (
            _text(table, "revision", source, where) if packaged or "revision" in table else DEFAULT_REVISION
        )
        return replace(spec, repo=repo, revision=revision)

    if "revision" in table:
        raise bad_registry(source, f"[{where}]: a model with a path has no revision")
    path = Path(_text(table, "path", source, where)).expanduser()
    if "\0" in str(path):
        raise bad_registry(source, f"[{where}]: path has a NUL in it")
    if packaged:
        return replace(spec, path=_PACKAGE / path, embedded=not path.is_absolute())
    return replace(spec, path=source.parent / path)


def _parse_defaults(
    table: Mapping[str, Any], models: Mapping[str, ModelSpec], source: Path
) -> dict[str, str]:
    defaults: dict[str, str] = {}
    for task in table:
        if task not in TASKS:
            raise bad_registry(source, f"[defaults]: unknown task {task!r} (there are {', '.join(TASKS)})")
        alias = _text(table, task, source, "defaults")
        if alias not in models:
            raise bad_registry(source, f"[defaults]: {task} names the alias {alias!r}, which has no table")
        # Any model has hidden states, so every one can be the default for features.
        if task not in ("features", models[alias].task):
            own = models[alias].task or f"no task that is known (task is missing in [models.{alias}])"
            raise bad_registry(source, f"[defaults]: {task} names {alias!r}, a model for {own}")
        defaults[task] = alias
    return defaults


def _table(value: Any, source: Path, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise bad_registry(source, f"{where} is not a table")
    return value


def _text(table: Mapping[str, Any], key: str, source: Path, where: str) -> str:
    value = table.get(key)
    if value is None:
        raise bad_registry(source, f"[{where}]: {key} is missing")
    if not isinstance(value, str) or not value.strip():
        raise bad_registry(source, f"[{where}]: {key} has to be a text, not {value!r}")
    return value


def _number(table: Mapping[str, Any], key: str, source: Path, where: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise bad_registry(source, f"[{where}]: {key} has to be a number above 0, not {value!r}")
    return float(value)


def read_offset(table: Mapping[str, Any], key: str, source: Path, where: str) -> float:
    """Seconds to add to starts or ends of words (ModelError, naming the file and the place in it)."""
    value = table.get(key, 0.0)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= _MOST_OFFSET:
        raise bad_registry(
            source,
            f"[{where}]: {key} has to be seconds from -{_MOST_OFFSET} to {_MOST_OFFSET}, not {value!r}",
        )
    return float(value)


def read_option_defaults(table: Mapping[str, Any], source: Path, where: str) -> OptionDefaults:
    """The defaults of options (ModelError likewise)."""
    try:
        return OptionDefaults.read(table)
    except ValueError as error:
        raise bad_registry(source, f"[{where}]: {error}") from error


def bad_registry(source: Path, problem: str) -> ModelError:
    """The error for a models.toml that cannot be used."""
    return ModelError(f"{source}: {problem}", hint="correct the file", code="bad_registry")

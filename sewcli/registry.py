"""From a model's name to its specification: `models.toml`, local directories, hub identifiers.

A name is looked up in this order: an alias of the registry, an existing local directory, a hub identifier
(`owner/name`). Nothing here touches the network or imports a heavy library; `sewcli.hub` turns the
specification into a directory with files.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sewcli.errors import ModelError, UsageError

FAMILIES = ("sew", "sew-d")
TASKS = ("ctc", "classification", "features")
DEFAULT_REVISION = "main"

_PACKAGE = Path(__file__).resolve().parent
_FILE_NAME = "models.toml"
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
_TEXT_KEYS = ("family", "task", "language", "licence", "description")
_KEYS = frozenset(("repo", "path", "revision", *_TEXT_KEYS, "parameters", "size_mb"))
_LIST_HINT = "run `sew models list` for the names there are"


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
        embedded: True for a model that comes with the package.
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
    embedded: bool = False

    @property
    def name(self) -> str:
        """What to call the model in a message or after `-m`: alias, else hub identifier, else directory."""
        return self.alias or self.repo or str(self.path)


@dataclass(frozen=True)
class Registry:
    """The content of one `models.toml`.

    Attributes:
        source: the file it was read from.
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


def find_models_toml(package: Path = _PACKAGE) -> Path:
    """Find the packaged `models.toml`.

    Returns the file inside the package (a wheel), else the one beside it (a checkout or an editable
    install). Raises ModelError when there is neither.
    """
    for candidate in (package / _FILE_NAME, package.parent / _FILE_NAME):
        if candidate.is_file():
            return candidate
    raise ModelError(
        f"the list of models, {_FILE_NAME}, is missing from this installation ({package})",
        hint="install the package again",
        code="bad_registry",
    )


def load_registry(path: Path | None = None) -> Registry:
    """Read a `models.toml`, the packaged one by default.

    Returns the checked registry. Raises ModelError, naming the file and the alias, for a file that cannot
    be read, is not TOML, or holds a key or a value that means nothing here.
    """
    source = find_models_toml() if path is None else path
    try:
        with source.open("rb") as stream:
            content = tomllib.load(stream)
    except OSError as error:
        raise _bad(source, f"cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _bad(source, f"is not valid TOML: {error}") from error

    if unknown := sorted(content.keys() - {"defaults", "models"}):
        raise _bad(source, f"unknown table {unknown[0]!r} (there are [defaults] and [models.ALIAS])")
    tables = _table(content.get("models", {}), source, "models")
    models = {alias: _parse_model(alias, table, source) for alias, table in tables.items()}
    defaults = _parse_defaults(_table(content.get("defaults", {}), source, "defaults"), models, source)
    return Registry(source=source, models=models, defaults=defaults)


def resolve(name: str, *, registry: Registry | None = None, revision: str | None = None) -> ModelSpec:
    """Turn what the user wrote after `-m` into a specification.

    Alias first, then an existing local directory, then a hub identifier; `./nano` is the directory where
    `nano` is the alias. `revision` replaces that of a hub model.

    Returns the specification. Raises ModelError (code `unknown_model`), with the aliases that are spelled
    alike, when the name is none of these, and UsageError for a revision of a model that has none.
    """
    registry = load_registry() if registry is None else registry
    spec = registry.models.get(name) or _local_directory(name) or _hub_model(name, registry)
    if spec is None:
        raise _unknown(name, registry)
    if revision is None:
        return spec
    if spec.repo is None:
        raise UsageError(
            f"{name!r} is a local model: it has no revision {revision!r}", hint="leave --revision out"
        )
    return replace(spec, revision=revision)


def _local_directory(name: str) -> ModelSpec | None:
    try:
        path = Path(name).expanduser()
        if name and path.is_dir():
            return ModelSpec(path=path, description="local directory")
        is_file = path.is_file()
    except (OSError, RuntimeError, ValueError):  # name too long, no such ~user, no access, NUL in the name
        is_file = False
    if is_file:
        raise ModelError(
            f"{name!r} is a file, not a model directory",
            hint="give the directory that holds config.json",
            code="unknown_model",
        )
    if name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1:
        raise ModelError(
            f"no such directory: {name!r}",
            hint=f"check the path, or {_LIST_HINT}",
            code="unknown_model",
        )
    return None


def _hub_model(name: str, registry: Registry) -> ModelSpec | None:
    if not _is_repo(name):
        return None
    for spec in registry.models.values():
        if spec.repo == name:
            # The facts of the alias hold, its pinned revision does not: a repository named in full means
            # its newest state, as it does for every other tool.
            return replace(spec, alias=None, revision=DEFAULT_REVISION)
    return ModelSpec(repo=name, revision=DEFAULT_REVISION, description="model of the hub")


def _unknown(name: str, registry: Registry) -> ModelError:
    by_folded = {alias.casefold(): alias for alias in registry.models}
    close = [by_folded[match] for match in difflib.get_close_matches(name.casefold(), by_folded, n=3)]
    message = f"unknown model {name!r}"
    if close:
        message += f"; did you mean {' or '.join(close)}?"
    return ModelError(message, hint=_LIST_HINT, code="unknown_model")


def _is_repo(name: str) -> bool:
    return bool(_REPO.fullmatch(name)) and not any(bad in name for bad in ("--", "..")) and len(name) <= 96


def _parse_model(alias: str, value: Any, source: Path) -> ModelSpec:
    where = f"models.{alias}"
    if not _ALIAS.fullmatch(alias):
        raise _bad(source, f"alias {alias!r}: only letters, digits, dot, dash and underscore can be used")
    table = _table(value, source, where)
    if unknown := sorted(table.keys() - _KEYS):
        raise _bad(source, f"[{where}]: unknown key {unknown[0]!r}")

    text = {key: _text(table, key, source, where) for key in _TEXT_KEYS}
    for key, allowed in (("family", FAMILIES), ("task", TASKS)):
        if text[key] not in allowed:
            raise _bad(source, f"[{where}]: {key} is {text[key]!r}, not one of {', '.join(allowed)}")
    spec = ModelSpec(
        alias=alias,
        family=text["family"],
        task=text["task"],
        language=text["language"],
        licence=text["licence"],
        description=text["description"],
        parameters=_number(table, "parameters", source, where),
        size_mb=_number(table, "size_mb", source, where),
    )
    if ("repo" in table) == ("path" in table):
        raise _bad(source, f"[{where}]: exactly one of repo and path has to be given")

    if "repo" in table:
        repo = _text(table, "repo", source, where)
        if not _is_repo(repo):
            raise _bad(source, f"[{where}]: repo {repo!r} is not of the form owner/name")
        revision = _text(table, "revision", source, where)
        return replace(spec, repo=repo, revision=revision)

    if "revision" in table:
        raise _bad(source, f"[{where}]: a model with a path has no revision")
    path = Path(_text(table, "path", source, where)).expanduser()
    return replace(spec, path=_PACKAGE / path, embedded=not path.is_absolute())


def _parse_defaults(
    table: Mapping[str, Any], models: Mapping[str, ModelSpec], source: Path
) -> dict[str, str]:
    defaults: dict[str, str] = {}
    for task in table:
        if task not in TASKS:
            raise _bad(source, f"[defaults]: unknown task {task!r} (there are {', '.join(TASKS)})")
        alias = _text(table, task, source, "defaults")
        if alias not in models:
            raise _bad(source, f"[defaults]: {task} names the alias {alias!r}, which has no table")
        # Any model has hidden states, so every one can be the default for features.
        if task not in ("features", models[alias].task):
            raise _bad(source, f"[defaults]: {task} names {alias!r}, a model for {models[alias].task}")
        defaults[task] = alias
    return defaults


def _table(value: Any, source: Path, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _bad(source, f"{where} is not a table")
    return value


def _text(table: Mapping[str, Any], key: str, source: Path, where: str) -> str:
    value = table.get(key)
    if value is None:
        raise _bad(source, f"[{where}]: {key} is missing")
    if not isinstance(value, str) or not value.strip():
        raise _bad(source, f"[{where}]: {key} has to be a text, not {value!r}")
    return value


def _number(table: Mapping[str, Any], key: str, source: Path, where: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise _bad(source, f"[{where}]: {key} has to be a number above 0, not {value!r}")
    return float(value)


def _bad(source: Path, problem: str) -> ModelError:
    return ModelError(f"{source}: {problem}", hint="correct the file", code="bad_registry")

"""From a model's name to its specification: `models.toml`, local directories, hub identifiers.

A name is looked up in this order: an alias of the registry, an existing local directory, a hub identifier
(`owner/name`). The registry is the packaged models.toml with the user's own laid over it. Nothing here
touches the network or imports a heavy library; `sewcli.hub.fetching` turns the specification into a directory
with files.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from sewcli.errors import ModelError, UsageError
from sewcli.model_json import with_own
from sewcli.models_toml import DEFAULT_REVISION, ModelSpec, Registry, is_repo, parse_registry, read_toml
from sewcli.nearest import meant
from sewcli.settings import is_closed, user_directory

__all__ = ["DEFAULT_REVISION", "ModelSpec", "Registry", "find_models_toml", "load_registry", "resolve"]

_log = logging.getLogger("sewcli")

_PACKAGE = Path(__file__).resolve().parent
_FILE_NAME = "models.toml"
_LIST_HINT = "run `sew models list` for the names there are"


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


def user_models_toml() -> Path:
    """The user's `models.toml`; it need not be there."""
    return user_directory() / _FILE_NAME


def load_registry(path: Path | None = None) -> Registry:
    """Read a `models.toml`, by default the packaged one with the user's laid over it.

    Returns the checked registry. Raises ModelError, naming the file and the alias, for a file that cannot
    be read, is not TOML, or holds a key or a value that means nothing here.
    """
    source = find_models_toml() if path is None else path
    registry = parse_registry(read_toml(source), source)
    own = user_models_toml()
    if path is not None or is_closed(own.parent) or not own.is_file():
        return registry
    return parse_registry(read_toml(own), own, packaged=registry)


def resolve(name: str, *, registry: Registry | None = None, revision: str | None = None) -> ModelSpec:
    """Turn what the user wrote after `-m` into a specification.

    Alias first, then an existing local directory, then a hub identifier; `./nano` is the directory where
    `nano` is the alias. `revision` replaces that of a hub model.

    Returns the specification. Raises ModelError (code `unknown_model`), with the aliases that are spelled
    alike, when the name is none of these, and UsageError for a revision of a model that has none.
    """
    registry = load_registry() if registry is None else registry
    spec = find(name, registry, revision)
    if spec.shadows:
        _log.info("%s is the model of that name in %s, not the packaged one", name, registry.source)
    return spec


def find(name: str, registry: Registry, revision: str | None = None) -> ModelSpec:
    """The same, without a word on an alias that shadows a packaged one."""
    spec = registry.models.get(name) or _local_directory(name) or _hub_model(name, registry)
    if spec is None:
        raise _unknown(name, registry)
    if revision is None:
        return with_own(spec)
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
    if not is_repo(name):
        return None
    for spec in registry.models.values():
        if spec.repo == name:
            # The facts of the alias hold, its pinned revision does not: a repository named in full means
            # its newest state, as it does for every other tool.
            return replace(spec, alias=None, source=None, shadows=False, revision=DEFAULT_REVISION)
    return ModelSpec(repo=name, revision=DEFAULT_REVISION, description="model of the hub")


def _unknown(name: str, registry: Registry) -> ModelError:
    message = f"unknown model {name!r}{meant(name, registry.models, count=3)}"
    return ModelError(message, hint=_LIST_HINT, code="unknown_model")

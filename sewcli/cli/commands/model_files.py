"""`sew models pull`, `path` and `verify`: the files of models on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sewcli.errors import EXIT_MODEL, ModelError, SewError, UsageError

if TYPE_CHECKING:
    from sewcli.hub.fetching import LocalModel
    from sewcli.models_toml import ModelSpec, Registry

_log = logging.getLogger("sewcli")

_Names = Annotated[list[str], typer.Argument(metavar="ALIAS|REPO", help="Which models.")]
_Revision = Annotated[str | None, typer.Option(help="Commit hash, tag or branch of a hub model.")]
_Form = Annotated[Literal["text", "json"], typer.Option("-f", "--format", help="Output format.")]


def pull(
    models: _Names,
    revision: _Revision = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no messages.")] = False,
) -> None:
    """Fetch models from the hub, for use without a network later, and print their directories.

    sew models pull sew-d-mid && sew transcribe --offline -m sew-d-mid talk.wav
    """
    from sewcli.cli.messages import set_up_messages
    from sewcli.cli.streams import write_lines
    from sewcli.hub.cache import is_pickled
    from sewcli.hub.fetching import fetch
    from sewcli.registry import DEFAULT_REVISION, load_registry, resolve

    set_up_messages(quiet=quiet)
    registry = load_registry()
    for spec in [resolve(name, registry=registry, revision=revision) for name in models]:
        local = fetch(spec, progress=not quiet)
        if is_pickled(local.directory):
            from sewcli.acoustic.pickled import keep_safetensors

            keep_safetensors(local)
        if local.revision is not None and local.revision != spec.revision and spec.repo is not None:
            _log.info("%s: %s is commit %s", spec.name, spec.revision or DEFAULT_REVISION, local.revision)
        write_lines(str(local.directory))


def path(
    model: Annotated[
        str | None, typer.Argument(metavar="ALIAS|REPO", help="Which model; without one, the cache.")
    ] = None,
    revision: _Revision = None,
) -> None:
    """Print the directory of a model that is on this machine, or the cache where hub models lie."""
    from sewcli.cli.streams import write_lines
    from sewcli.hub.cache import cache_directory
    from sewcli.registry import resolve

    directory = cache_directory()
    if model is not None:
        directory = _on_this_machine(resolve(model, revision=revision)).directory
    elif revision is not None:
        raise UsageError("--revision needs a model")
    write_lines(str(directory))


def verify(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="ALIAS|DIR|REPO", help="All that are here by default.")
    ] = None,
    revision: _Revision = None,
    form: _Form = "text",
) -> None:
    """Read the weights of models again and hold them against hashes and configuration.

    Files of the hub have the hash that they are stored under; every weight that the configuration needs is
    there, in its shape, and finite; and the network runs. Prints ALIAS<TAB>ok, damaged or missing, or failed
    where it could not be told; the exit code is 5 if one is damaged or missing.
    """
    from sewcli.cli.streams import write_lines, write_message, write_stdout
    from sewcli.doctor.weights import check_model
    from sewcli.model_json import with_own
    from sewcli.registry import load_registry, resolve
    from sewcli.writers.jsonl import SCHEMA_VERSION, dump

    registry = load_registry()
    codes: list[int] = []
    for name in models or _here(registry):
        record: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "model": name, "ok": True}
        verdict = "ok"
        try:
            spec = resolve(name, registry=registry, revision=revision)
            record["model"] = spec.name
            local = _on_this_machine(with_own(spec))
            record["directory"] = str(local.directory)
            check_model(local)
        except SewError as error:
            codes.append(error.exit_code)
            if isinstance(error, ModelError):
                verdict = "missing" if error.code in ("not_cached", "unknown_model") else "damaged"
            else:
                verdict = "failed"
            record |= {"ok": False, "error": {"code": error.code, "message": str(error)}}
            write_message(str(error))
        if form == "json":
            write_stdout(dump(record))
        else:
            write_lines(f"{record['model']}\t{verdict}")
    if codes:
        raise typer.Exit(EXIT_MODEL if EXIT_MODEL in codes else codes[0])


def _on_this_machine(spec: ModelSpec) -> LocalModel:
    """The files of a model, without the network (ModelError where they are not here)."""
    from sewcli.hub.cache import cached_snapshot
    from sewcli.hub.errors import at_revision, next_command
    from sewcli.hub.fetching import fetch

    if spec.repo is not None and cached_snapshot(spec.repo, spec.revision) is None:
        raise ModelError(
            f"model {at_revision(spec)} is not on this machine, or not in full",
            hint=next_command(spec, online=True),
            code="not_cached",
        )
    return fetch(spec, offline=True)


def _here(registry: Registry) -> Iterator[str]:
    """The aliases whose files should be on this machine."""
    from sewcli.hub.cache import cached_snapshot

    for alias, spec in registry.models.items():
        if spec.repo is None or cached_snapshot(spec.repo, spec.revision) is not None:
            yield alias

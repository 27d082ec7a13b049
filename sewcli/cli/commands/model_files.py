"""`sew models pull`, `path` and `verify`: the files of models on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sewcli.errors import EXIT_MODEL, ModelError, UsageError

if TYPE_CHECKING:
    from sewcli.hub.fetching import LocalModel
    from sewcli.models_toml import ModelSpec

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
    from sewcli.cli.run import set_up_messages
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
    there, in its shape, and finite; and the network runs. Prints ALIAS<TAB>ok, damaged or missing; the exit
    code is 5 if one is not ok.
    """
    from sewcli.cli.streams import write_lines, write_message, write_stdout
    from sewcli.doctor.weights import check_model
    from sewcli.model_json import with_own
    from sewcli.registry import resolve
    from sewcli.writers.jsonl import SCHEMA_VERSION, dump

    specs = [resolve(name, revision=revision) for name in models] if models else list(_here())
    failed = False
    for spec in specs:
        record: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "model": spec.name, "ok": True}
        verdict = "ok"
        try:
            local = _on_this_machine(with_own(spec))
            record["directory"] = str(local.directory)
            check_model(local)
        except ModelError as error:
            failed = True
            verdict = "missing" if error.code == "not_cached" else "damaged"
            record |= {"ok": False, "error": {"code": error.code, "message": str(error)}}
            write_message(str(error))
        if form == "json":
            write_stdout(dump(record))
        else:
            write_lines(f"{spec.name}\t{verdict}")
    if failed:
        raise typer.Exit(EXIT_MODEL)


def _on_this_machine(spec: ModelSpec) -> LocalModel:
    """The files of a model, without the network (ModelError where they are not here)."""
    from sewcli.hub.cache import cached_snapshot
    from sewcli.hub.fetching import fetch

    if spec.repo is not None and cached_snapshot(spec.repo, spec.revision) is None:
        raise ModelError(
            f"model {spec.name} is not on this machine, or not in full",
            hint=f"sew models pull {spec.name}",
            code="not_cached",
        )
    return fetch(spec, offline=True)


def _here() -> Iterator[ModelSpec]:
    """The aliases whose files should be on this machine."""
    from sewcli.hub.cache import cached_snapshot
    from sewcli.registry import load_registry

    for spec in load_registry().models.values():
        if spec.repo is None or cached_snapshot(spec.repo, spec.revision) is not None:
            yield spec

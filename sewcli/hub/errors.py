"""What is said when a model cannot be had, and what to do next."""

from __future__ import annotations

import errno
import shlex

from sewcli.errors import ModelError
from sewcli.hub.cache import PICKLED, cache_directory
from sewcli.hub.offline import offline_variables
from sewcli.registry import DEFAULT_REVISION, ModelSpec


def refused_pickle(name: str) -> ModelError:
    """Of a repository whose weights are a pickle alone."""
    return ModelError(
        f"the weights of {name} are a pickle ({PICKLED}), which can hold more than weights",
        hint=f"sew models convert {shlex.quote(name)} -o DIR makes a model with safetensors of it",
        code="pickle",
    )


def cached_pickle(spec: ModelSpec, why: str, *, online: bool) -> ModelError:
    """Of a cache that holds a pickle alone."""
    return ModelError(
        f"the weights of {spec.name} in the cache are a pickle ({PICKLED}), which can hold more than "
        f"weights, and {why}",
        hint=f"with a network {next_command(spec, online=online)} fetches safetensors, if the hub has them; "
        f"sew models convert {shlex.quote(spec.name)} -o DIR makes them of the pickle",
        code="pickle",
    )


def not_cached(spec: ModelSpec, *, by_option: bool) -> ModelError:
    """Of a run without a network, by --offline or by the environment."""
    way = "without " + ("--offline" if by_option else " and ".join(offline_variables()))
    return ModelError(
        f"model {at_revision(spec)} is not in the cache, or not in full, and this run is offline",
        hint=f"run once {way}: {next_command(spec, online=not by_option)}",
        code="not_cached",
    )


def explain(error: Exception, spec: ModelSpec) -> ModelError | None:
    """Say what a failed request or download means; None for an error that is not about the hub."""
    from huggingface_hub import constants, errors

    # The library wraps what happened into "not in the cache"; the cause says more.
    while isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    name, reason = at_revision(spec), (str(error).strip().splitlines() or [type(error).__name__])[0]
    token = "set HF_TOKEN to a token of an account that may read it"

    if isinstance(error, errors.RevisionNotFoundError):
        message, code = f"{spec.repo} has no revision {spec.revision!r} on the hub", "revision_not_found"
        hint = "check --revision: a branch, a tag or a commit hash"
    elif isinstance(error, errors.GatedRepoError):
        message, code = f"access to {spec.repo} is restricted on the hub", "gated_repo"
        hint = f"ask for access on the page of the model, then {token}"
    elif isinstance(error, errors.RepositoryNotFoundError):
        message, code = f"the hub has no model {spec.repo}, or it is private or gated", "repo_not_found"
        hint = f"check the name (`sew models list`); if it is private, {token}"
    elif isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        message, code = f"the hub answered {status} for {name}", "hub_error"
        hint = token if status in (401, 403) else "try again later, or give a local directory with -m"
    elif isinstance(error, errors.HFValidationError):
        message, code = f"{spec.repo!r} is no name of a model on the hub", "unknown_model"
        hint = "run `sew models list` for the names there are"
    elif type(error).__name__ in ("RemoteProtocolError", "ReadError") or "Consistency check" in reason:
        message, code = f"the download of {name} broke off", "download_failed"
        hint = "run the same command again; files already complete are kept"
    elif type(error).__module__.startswith("httpx") or isinstance(
        error, ConnectionError | TimeoutError | errors.LocalEntryNotFoundError | errors.FileMetadataError
    ):
        message, code = (
            f"the hub at {constants.ENDPOINT} is out of reach for {name}: {reason}",
            "hub_unreachable",
        )
        hint = (
            "the model is neither in the cache nor a directory; check the connection, or run `sew models "
            "pull` on a machine with network and copy its HF_HOME here, or give a local directory with -m"
        )
    elif isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        problem = "no space left" if full else f"cannot write ({error.strerror or reason})"
        message, code = f"{problem} in the cache {cache_directory()}", "cache_not_writable"
        hint = "free some space, or set HF_HOME to another place"
    elif isinstance(error, ValueError):
        message, code = f"what answered at {constants.ENDPOINT} is no model hub: {reason}", "hub_error"
        hint = "check HF_ENDPOINT, the proxy and the connection"
    else:
        return None
    return ModelError(message, hint=hint, code=code)


def at_revision(spec: ModelSpec) -> str:
    """The name, and the revision where it is not the default."""
    revision = spec.revision or DEFAULT_REVISION
    return spec.name if revision == DEFAULT_REVISION else f"{spec.name} at revision {revision}"


def next_command(spec: ModelSpec, *, online: bool) -> str:
    """The command that fetches a model; `online` undoes the variables that keep it from the network."""
    revision = f" --revision {spec.revision}" if spec.revision not in (None, DEFAULT_REVISION) else ""
    command = f"sew models pull {spec.name}{revision}"
    switches = " ".join(f"{name}=0" for name in offline_variables()) if online else ""
    return f"{switches} {command}".strip()

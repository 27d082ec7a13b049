"""From a model's specification to a local directory with its files.

Embedded models and local directories are checked; hub models are looked for in the cache and downloaded by
huggingface_hub.

No file is loaded here. Weights in pickle format are carried to the cache for packaged aliases only, whose
publisher is known, and for `sew models convert`, and only where the hub has no conversion of them
(sewcli.hub.conversion);
sewcli.acoustic.pickled reads them.
"""

from __future__ import annotations

import glob
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sewcli import __version__
from sewcli.errors import ModelError
from sewcli.hub.cache import COMMIT, PICKLED, cache_directory, cached_snapshot, is_pickled, record_reference
from sewcli.hub.conversion import fetch_conversion, put_beside
from sewcli.hub.errors import cached_pickle, explain, not_cached, refused_pickle
from sewcli.hub.offline import offline_variables
from sewcli.registry import DEFAULT_REVISION, ModelSpec

_log = logging.getLogger("sewcli")

_SAFETENSORS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")


@dataclass(frozen=True)
class LocalModel:
    """A model whose files are on this machine.

    Attributes:
        spec: what was asked for.
        directory: holds config.json and the weights.
        revision: commit hash of a hub model, version of the package for an embedded one, else None.
    """

    spec: ModelSpec
    directory: Path
    revision: str | None


def fetch(
    spec: ModelSpec, *, offline: bool = False, progress: bool = True, pickles: bool = False
) -> LocalModel:
    """Bring a model's files to this machine.

    A directory, embedded or not, is checked. A hub model at a commit hash comes from the cache when it is
    there; at a branch or tag the hub is asked first, and the cached copy is the fallback, with a warning in
    the log. With `offline`, or HF_HUB_OFFLINE or SEW_OFFLINE in the environment, only the cache counts.
    `progress` allows progress bars on standard error where that is a terminal. Weights in pickle format are
    accepted from packaged aliases, and with `pickles` from everyone.

    Returns the directory and the exact revision. Raises ModelError, with what to do next, for everything
    that keeps the model from being there in full.
    """
    pickles = pickles or spec.source == "packaged"
    local = _check_directory(spec) if spec.repo is None else _from_hub(spec, offline, progress, pickles)
    if not pickles and is_pickled(local.directory):
        raise refused_pickle(spec.name)
    return local


def _from_hub(spec: ModelSpec, offline: bool, progress: bool, pickles: bool) -> LocalModel:
    assert spec.repo is not None
    cached = cached_snapshot(spec.repo, spec.revision)
    # another program may have fetched the pickle of a repository that has safetensors, too
    refused = cached is not None and not pickles and is_pickled(cached)
    if offline or offline_variables():
        if cached is None:
            raise not_cached(spec, by_option=offline)
        if refused:
            raise cached_pickle(spec, "this run is offline", online=not offline)
        return LocalModel(spec, cached, cached.name)
    if cached is not None and not refused and cached.name == spec.revision:
        return LocalModel(spec, cached, cached.name)

    with _quiet(progress and sys.stderr.isatty()):
        try:
            directory = _download(spec, spec.repo, pickles=pickles)
        except ModelError:
            raise
        except Exception as error:
            failure = explain(error, spec)
            if failure is None:
                raise
            if cached is None or failure.code == "revision_not_found":
                raise failure from error
            if refused:
                raise cached_pickle(spec, failure.message, online=False) from error
            _log.warning("%s; using the copy in the cache (%s)", failure.message, cached.name[:12])
            directory = cached
    return LocalModel(spec, directory, directory.name)


def _check_directory(spec: ModelSpec) -> LocalModel:
    directory = spec.path
    if directory is None:
        raise ValueError("a specification needs a repo or a path")
    hint = (
        "install the package again" if spec.embedded else "give the directory of a transformers model with -m"
    )
    if not directory.is_dir():
        raise ModelError(f"model {spec.name}: no directory {directory}", hint=hint, code="damaged_model")
    if not (directory / "config.json").is_file():
        exported = directory / "model"  # where this is the directory of a training
        if not spec.embedded and (exported / "config.json").is_file():
            hint = f"its model is {exported}"
        raise ModelError(f"model {spec.name}: no config.json in {directory}", hint=hint, code="damaged_model")
    return LocalModel(spec, directory, __version__ if spec.embedded else None)


def _choose_files(repo: str, names: Sequence[str], *, pickles: bool) -> list[str]:
    """Pick the files at the top of a repository that loading needs, and one format of the weights."""
    weights = [name for name in names if _SAFETENSORS.fullmatch(name)]
    if not weights and PICKLED in names:
        if not pickles:
            raise refused_pickle(repo)
        weights = [PICKLED]
    if "config.json" not in names or not weights:
        missing = "weights (model.safetensors)" if "config.json" in names else "config.json"
        raise ModelError(
            f"{repo} on the hub holds no {missing}",
            hint="choose a transformers model with -m",
            code="damaged_model",
        )
    return [name for name in names if "/" not in name and name.endswith(".json")] + weights


def _download(spec: ModelSpec, repo: str, *, pickles: bool) -> Path:
    """Download what is missing of a revision; returns its snapshot directory."""
    from huggingface_hub import HfApi, constants, snapshot_download

    revision = spec.revision or DEFAULT_REVISION
    # Without a timeout the library waits for ever on a network that swallows packets.
    info = HfApi().model_info(repo, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    commit = info.sha or ""
    if not COMMIT.fullmatch(commit):
        raise ValueError("no commit hash in the answer of the hub")
    snapshot = cached_snapshot(repo, commit)
    if snapshot is None or (not pickles and is_pickled(snapshot)):
        files = _choose_files(repo, [sibling.rfilename for sibling in info.siblings or []], pickles=pickles)
        packaged = spec.source == "packaged"
        converted = fetch_conversion(repo, commit) if packaged and PICKLED in files else None
        if converted is not None:
            files.remove(PICKLED)
        # At the hash, not at the branch: the library moves the reference of a branch before it has the
        # files, and a download that breaks off would take the older copy away from offline runs.
        snapshot = Path(
            snapshot_download(
                repo,
                revision=commit,
                cache_dir=cache_directory(),
                allow_patterns=[glob.escape(name) for name in files],
            )
        )
        if converted is not None:
            put_beside(converted, snapshot)
    if revision != commit:
        record_reference(repo, revision, commit)
    return snapshot


@contextmanager
def _quiet(progress: bool) -> Iterator[None]:
    """Keep the library's own lines off standard error; its progress bars too, unless wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The first import sets the level of the library's logger, so it has to come before ours.
        from huggingface_hub.utils.logging import get_logger
        from huggingface_hub.utils.tqdm import (
            are_progress_bars_disabled,
            disable_progress_bars,
            enable_progress_bars,
        )

        logger = get_logger("huggingface_hub")
        level, hide = logger.level, not progress and not are_progress_bars_disabled()
        if not os.environ.get("HF_HUB_VERBOSITY"):
            logger.setLevel(logging.CRITICAL)
        if hide:
            disable_progress_bars()
        try:
            yield
        finally:
            logger.setLevel(level)
            if hide:
                enable_progress_bars()

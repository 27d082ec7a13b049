"""The cache of the hub on this machine, read by its layout.

    CACHE/models--owner--name/refs/REVISION       the commit hash a branch or tag stood for
    CACHE/models--owner--name/snapshots/HASH/...  the files of that commit

Reading it does not need huggingface_hub, so that a cached model at a pinned revision, an offline run and
`sew models list` neither import it nor reach a network.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from pathlib import Path

from sewcli.atomic import write_whole
from sewcli.errors import ModelError
from sewcli.registry import DEFAULT_REVISION

_log = logging.getLogger("sewcli")

WEIGHTS = "model.safetensors"
PICKLED = "pytorch_model.bin"
_INDEX = "model.safetensors.index.json"
_SAFETENSORS = ("model.safetensors", _INDEX)
#: of git, in full
COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def cache_directory() -> Path:
    """Find the cache of the hub as huggingface_hub does: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, ~/.cache.

    Returns its path; it need not exist.
    """
    env = os.environ
    home = env.get("HF_HOME", str(Path(env.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"))
    cache = env.get("HF_HUB_CACHE", env.get("HUGGINGFACE_HUB_CACHE", str(Path(home) / "hub")))
    return Path(os.path.expandvars(cache)).expanduser()


def cached_snapshot(repo: str, revision: str | None = None) -> Path | None:
    """Look in the cache for a complete copy of a hub model, without the network.

    Returns the snapshot directory, named by its commit hash, or None when the revision is not there or
    lacks its configuration, its weights or, for a CTC model, its vocabulary.
    """
    commit = revision or DEFAULT_REVISION
    if not COMMIT.fullmatch(commit):
        try:
            commit = _reference(repo, commit).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
    snapshot = _storage(repo) / "snapshots" / commit
    return snapshot if COMMIT.fullmatch(commit) and _is_complete(snapshot) else None


def is_pickled(directory: Path) -> bool:
    """Whether the weights of a model directory are a pickle; safetensors of other names are none of it."""
    return (directory / PICKLED).is_file() and not any((directory / name).is_file() for name in _SAFETENSORS)


def check_hashes(snapshot: Path) -> None:
    """Read the files of a snapshot again and compare them with the hashes they are stored under.

    The cache keeps a file as blobs/HASH: SHA-256 for weights, for small files the SHA-1 that git takes of
    "blob SIZE", a zero byte and the content. What is no link to such a blob is passed over.

    Raises:
        ModelError: a file is not the one that was fetched, or cannot be read.
    """
    for file in sorted(snapshot.iterdir()):
        blob = file.resolve()
        if blob.parent.name != "blobs" or not _HASH.fullmatch(blob.name):
            continue
        digest = hashlib.sha256() if len(blob.name) == 64 else hashlib.sha1(usedforsecurity=False)
        try:
            with blob.open("rb") as stream:
                if digest.name == "sha1":
                    digest.update(b"blob %d\0" % blob.stat().st_size)
                while block := stream.read(1 << 20):
                    digest.update(block)
            problem = "" if digest.hexdigest() == blob.name else "it is not the file that was fetched"
        except OSError as error:
            problem = f"it cannot be read: {error.strerror}"
        if problem:
            raise ModelError(
                f"{file} is damaged: {problem}",
                hint=f"delete {blob} and fetch the model again with `sew models pull`",
                code="damaged_model",
            )


def _storage(repo: str) -> Path:
    return cache_directory() / f"models--{repo.replace('/', '--')}"


def _reference(repo: str, revision: str) -> Path:
    if revision.startswith("/") or ".." in revision:  # git has no such name, and it would leave the cache
        raise ValueError(f"{revision!r} is no name of a revision")
    return _storage(repo) / "refs" / revision


def _is_complete(snapshot: Path) -> bool:
    """Check that a snapshot holds what loading needs: others may have cached a part of it only."""
    try:
        config = json.loads((snapshot / "config.json").read_text(encoding="utf-8"))
        names = {entry.name for entry in snapshot.iterdir() if entry.is_file()}
        weights = {WEIGHTS} if WEIGHTS in names else {PICKLED}
        if _INDEX in names:
            weights = set(json.loads((snapshot / _INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        needs_vocabulary = any(name.endswith("ForCTC") for name in config.get("architectures") or [])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return weights <= names and ("vocab.json" in names or not needs_vocabulary)


def record_reference(repo: str, revision: str, commit: str) -> None:
    """Note in the cache which commit a branch stands for, so that it is found offline."""
    try:
        reference = _reference(repo, revision)
        if reference.is_file() and reference.read_text(encoding="ascii") == commit:
            return
        reference.parent.mkdir(parents=True, exist_ok=True)
        write_whole(reference, commit.encode("ascii"))
    except (OSError, ValueError) as error:
        # A read-only cache that holds the snapshot is good enough for this run.
        _log.debug("revision %s of %s not recorded in the cache: %s", revision, repo, error)

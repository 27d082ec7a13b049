"""The safetensors revision that the hub offers of a repository with a pickle.

A bot of the hub opens a pull request that adds model.safetensors to such a repository. transformers takes
its weights where it finds one (`get_conversion_pr_reference` in transformers/safetensors_conversion.py).
What is asked of the pull request here is what is asked there: the title, the bot as its author, open, and
one commit on top of the one that is wanted.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from sewcli.atomic import replacing
from sewcli.hub.cache import WEIGHTS, cache_directory

_log = logging.getLogger("sewcli")

_TITLE = "Adding `safetensors` variant of this model"
_BOT = "SFconvertbot"


def fetch_conversion(repo: str, commit: str) -> Path | None:
    """Download the model.safetensors that the bot made of a commit; None where there is none.

    Raises what huggingface_hub raises for a download that does not work.
    """
    from huggingface_hub import errors, hf_hub_download

    converted = _offered(repo, commit)
    if converted is None:
        return None
    try:
        return Path(hf_hub_download(repo, WEIGHTS, revision=converted, cache_dir=cache_directory()))
    except errors.EntryNotFoundError:  # in shards, as no SEW model is
        return None


def put_beside(weights: Path, snapshot: Path) -> None:
    """Give a snapshot the weights of another one of the same repository, which share its blobs (OSError)."""
    with replacing(snapshot / WEIGHTS) as temporary:
        if weights.is_symlink():
            temporary.symlink_to(os.path.relpath(weights.resolve(), snapshot.resolve()))
        else:
            shutil.copyfile(weights, temporary)


def _offered(repo: str, commit: str) -> str | None:
    """The commit of the bot's pull request on top of a commit."""
    from huggingface_hub import HfApi, errors

    api = HfApi()
    try:
        for request in api.get_repo_discussions(
            repo, author=_BOT, discussion_type="pull_request", discussion_status="open"
        ):
            # not every hub heeds what it was asked for
            mine = request.author == _BOT and request.status == "open" and request.title == _TITLE
            if not mine or request.git_reference is None:
                continue
            newest = [one.commit_id for one in api.list_repo_commits(repo, revision=request.git_reference)]
            if newest[1:2] == [commit]:
                _log.info("%s: its safetensors weights are those of %s", repo, request.git_reference)
                return newest[0]
    except (errors.HfHubHTTPError, LookupError, TypeError, ValueError, AttributeError) as error:
        # a mirror may have no discussions; the pickle is there
        _log.debug("no conversion of %s: %s", repo, error)
    return None

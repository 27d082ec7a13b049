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
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
    try:
        for number in _pull_requests(repo):
            reference = f"refs/pr/{number}"
            newest = [one["id"] for one in _asked(f"{repo}/commits/{quote(reference, safe='')}")]
            if newest[1:2] == [commit]:
                _log.info("%s: its safetensors weights are those of %s", repo, reference)
                return str(newest[0])
    except Exception as error:
        # a mirror may have no discussions, or the network end; the pickle is there
        _log.debug("no conversion of %s: %s", repo, error)
    return None


def _pull_requests(repo: str) -> Iterator[int]:
    """The numbers of those that the bot has opened."""
    wanted = {"author": _BOT, "type": "pull_request", "status": "open"}
    for page in count():
        answer = _asked(f"{repo}/discussions", p=page, **wanted)
        found = answer["discussions"]
        for one in found:
            # not every hub heeds what it was asked for
            is_bot = one["author"]["name"] == _BOT and one["title"] == _TITLE
            if is_bot and one["status"] == "open" and one["isPullRequest"]:
                yield int(one["num"])
        if not found or answer["start"] + len(found) >= answer["count"]:
            return


def _asked(path: str, **parameters: str | int) -> Any:
    """What the hub tells of a model; the methods of the library for that would wait for ever."""
    from huggingface_hub import constants, get_session, hf_raise_for_status
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    answer = get_session().get(
        f"{constants.ENDPOINT}/api/models/{path}",
        params=parameters,
        headers=build_hf_headers(),
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
    )
    hf_raise_for_status(answer)
    return answer.json()

"""Pickles that the hub or its cache has better: the bot's safetensors, and caches that others filled."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import torch
from conftest import Sew
from fake_hub import FILES, NEW, OLD, Client, FakeHub, assert_failed, make_snapshot, serving
from hub_runs import REPO, Publisher, pickled, run
from safetensors.torch import load_file

CONVERTED = "c" * 40
DATE = "2026-01-01T00:00:00.000Z"


@dataclass
class Offering(FakeHub):
    """A hub with pull requests."""

    pulls: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    end: threading.Event = field(default_factory=threading.Event)


class Bot(Publisher):
    """Tells of the pull requests, too."""

    hub: Offering

    def do_GET(self) -> None:  # noqa: N802
        asked = unquote(urlsplit(self.path).path)
        number = asked.rpartition("/commits/refs/pr/")[2]
        if asked.endswith("/discussions"):
            made = [{**pull, "repo": {"name": REPO, "type": "model"}} for pull in self.hub.pulls]
            self.tell({"count": len(made), "start": 0, "discussions": made})
        elif found := [pull for pull in self.hub.pulls if str(pull["num"]) == number]:
            told = {"authors": [], "date": DATE, "title": "", "message": ""}
            self.tell([{"id": commit, **told} for commit in found[0]["commits"]])
        else:
            super().do_GET()

    def tell(self, content: object) -> None:
        self.answer(200, json.dumps(content).encode(), Content_Type="application/json")


class Mute(Bot):
    """Gives no answer about pull requests."""

    hub: Offering

    def do_GET(self) -> None:  # noqa: N802
        if "/discussions" in self.path:
            self.hub.requests.append(f"GET {self.path}")
            self.hub.end.wait(self.hub.seconds)
            self.close_connection = True
        else:
            super().do_GET()


def pull_request(number: int, **changes: Any) -> dict[str, Any]:
    """One that the bot opened for the commit NEW, as the hub tells of it."""
    told = {
        "num": number,
        "title": "Adding `safetensors` variant of this model",
        "author": {"name": "SFconvertbot"},
        "createdAt": DATE,
        "status": "open",
        "isPullRequest": True,
        "commits": [CONVERTED, NEW],
    }
    return told | changes


@pytest.fixture
def offering(ctc: Path) -> Iterator[Offering]:
    """A hub with a model whose weights are a pickle, and others in a commit on top of it."""
    files = {file.name: file.read_bytes() for file in ctc.iterdir() if file.suffix == ".json"}
    weights = (ctc / "model.safetensors").read_bytes()
    files["pytorch_model.bin"] = pickled(load_file(ctc / "model.safetensors"))
    state = Offering(commits={NEW: files, CONVERTED: files | {"model.safetensors": weights}})
    with serving(state, Bot):
        yield state


@pytest.mark.defaults
def test_the_safetensors_of_the_bot_come_before_the_pickle(
    offering: Offering, sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    offering.pulls = [pull_request(1, title="Better weights"), pull_request(7)]
    arguments = ("transcribe", "-m", "sew-tiny", "-f", "json", audio / "a.wav")
    first = run(offering, tmp_path, *arguments)
    assert first.returncode == 0, first.stderr
    assert "refs/pr/7" in first.stderr
    assert "pytorch_model.bin" not in offering.downloads()
    [expected] = sew("transcribe", "-m", ctc, "-f", "json", audio / "a.wav").records
    record = json.loads(first.stdout)
    assert (record["text"], record["words"]) == (expected["text"], expected["words"])
    assert record["model"] == {"id": "sew-tiny", "revision": NEW}
    # the branch is at the commit that it is at for other programs, and complete
    asked = len(offering.requests)
    again = run(offering, tmp_path, *arguments, "--offline")
    assert (again.returncode, again.stderr, again.stdout) == (0, "", first.stdout)
    assert len(offering.requests) == asked
    [weights] = tmp_path.rglob(f"snapshots/{NEW}/model.safetensors")
    assert weights.resolve().parent.name == "blobs"


def test_no_other_pull_request_counts(offering: Offering, tmp_path: Path) -> None:
    offering.pulls = [
        pull_request(1, author={"name": "somebody"}),
        pull_request(2, title="Adding `safetensors` variant of that model"),
        pull_request(3, status="closed"),
        pull_request(4, isPullRequest=False),
        pull_request(5, commits=[CONVERTED, OLD]),  # of an older commit
        pull_request(6, commits=[CONVERTED, OLD, NEW]),  # somebody added to it
        {"num": 7, "author": None},
    ]
    offering.commits[OLD] = offering.commits[NEW]
    done = run(offering, tmp_path, "models", "pull", "sew-tiny")
    assert done.returncode == 0, done.stderr
    assert "pytorch_model.bin" in offering.downloads()
    assert "model.safetensors" not in offering.downloads()
    kept = Path(done.stdout.strip())
    assert kept.name == NEW
    original = torch.load(kept / "pytorch_model.bin", weights_only=True)
    assert load_file(kept / "model.safetensors").keys() == original.keys()


def test_a_pull_request_without_the_file_leaves_the_pickle(offering: Offering, tmp_path: Path) -> None:
    offering.pulls = [pull_request(1)]
    offering.commits[CONVERTED] = offering.commits[NEW]
    done = run(offering, tmp_path, "models", "pull", "sew-tiny")
    assert done.returncode == 0, done.stderr
    assert offering.downloads().count("pytorch_model.bin") == 1


@pytest.mark.parametrize("seconds", [0.0, 100.0])
@pytest.mark.slow
def test_a_hub_that_hangs_up_or_is_silent_about_conversions_leaves_the_pickle(
    offering: Offering, tmp_path: Path, seconds: float
) -> None:
    mute = Offering(commits=offering.commits, seconds=seconds)
    with serving(mute, Mute):
        done = run(mute, tmp_path, "models", "pull", "sew-tiny", HF_HUB_ETAG_TIMEOUT="1")
        mute.end.set()
    assert done.returncode == 0, done.stderr
    assert any("/discussions" in request for request in mute.requests)
    assert mute.downloads().count("pytorch_model.bin") == 1


def test_the_conversion_is_for_packaged_aliases_alone(offering: Offering, tmp_path: Path) -> None:
    offering.pulls = [pull_request(1)]
    refused = run(offering, tmp_path, "models", "pull", REPO)
    assert refused.returncode == 5
    assert f"sew models convert {REPO} -o DIR" in refused.stderr
    made = run(offering, tmp_path, "models", "convert", REPO, "-o", tmp_path / "converted")
    assert made.returncode == 0, made.stderr
    assert offering.downloads().count("pytorch_model.bin") == 1


@pytest.mark.parametrize("revision", ["main", NEW])
def test_a_cache_with_the_pickle_alone_gets_the_safetensors_of_the_repository(
    offering: Offering, tmp_path: Path, revision: str
) -> None:
    client = Client(tmp_path, offering.url)
    offering.commits[NEW] = FILES | {"pytorch_model.bin": b"pickle"}
    partial = {k: v for k, v in offering.commits[NEW].items() if k != "model.safetensors"}
    make_snapshot(client.home, NEW, partial, "main")
    result = client.fetch(revision)
    assert (result["revision"], result["files"]) == (NEW, sorted(offering.commits[NEW]))
    assert client.fetch(revision, offline=True)["directory"] == result["directory"]


def test_a_cache_with_the_pickle_alone_says_offline_what_to_do(tmp_path: Path) -> None:
    client = Client(tmp_path, "http://127.0.0.1:9")  # a port that is closed
    files = {k: v for k, v in FILES.items() if k != "model.safetensors"} | {"pytorch_model.bin": b"pickle"}
    make_snapshot(client.home, NEW, files, "main")
    commands = ("sew models pull owner/name", "sew models convert owner/name -o DIR")
    assert_failed(client.fetch(offline=True), "pickle", "in the cache", "offline", *commands)
    forbidden = client.fetch(env={"HF_HUB_OFFLINE": "1"})
    assert_failed(forbidden, "pickle", f"HF_HUB_OFFLINE=0 {commands[0]}", commands[1])
    assert_failed(client.fetch(), "pickle", "out of reach", *commands)
    assert client.fetch(source="packaged", offline=True)["revision"] == NEW

"""Fetching models: the hub's cache layout offline, and a local server that plays the hub.

huggingface_hub reads its environment when it is imported, so each fetch runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hub import (
    CONFIG,
    FILES,
    NEW,
    OLD,
    WEIGHTS,
    Client,
    FakeHub,
    assert_failed,
    make_snapshot,
)

import sewcli
from sewcli.errors import ModelError
from sewcli.hub import cache, fetching
from sewcli.registry import ModelSpec


def test_download_of_a_safetensors_repository(client: Client, server: FakeHub) -> None:
    server.commits[NEW] |= {
        "pytorch_model.bin": b"pickle",
        "README.md": b"#",
        "onnx/model.safetensors": b"x",
        "checkpoint-1/config.json": b"{}",
    }
    server.headers = {"X-HF-Warning": "topic; log in, please"}
    result = client.fetch()
    assert (result["revision"], result["files"]) == (NEW, sorted(FILES))
    assert Path(result["directory"]).name == NEW
    assert (Path(result["directory"]) / "model.safetensors").read_bytes() == WEIGHTS
    assert sorted(server.downloads()) == sorted(FILES)
    assert result["stderr"] == []  # neither the library's warnings nor its bars


def test_pickled_weights_only_when_there_are_no_others(client: Client, server: FakeHub) -> None:
    server.commits[NEW] = {k: v for k, v in FILES.items() if k != "model.safetensors"}
    server.commits[NEW] |= {"pytorch_model.bin": b"pickle", "optimizer.bin": b"no"}
    assert_failed(client.fetch(), "pickle", "sew models convert owner/name -o DIR")
    assert server.downloads() == []
    result = client.fetch(source="packaged")
    assert result["files"] == sorted(server.commits[NEW].keys() - {"optimizer.bin"})
    # and one that is in the cache is no one else's either
    assert_failed(client.fetch(offline=True), "pickle")


def test_copy_in_the_cache_serves_when_the_hub_is_gone(
    client: Client, unplugged: Client, server: FakeHub
) -> None:
    first = client.fetch()
    asked = len(server.requests)
    again = unplugged.fetch(progress=False)
    assert (again["directory"], again["revision"]) == (first["directory"], NEW)
    [warning] = again["stderr"]
    assert warning.startswith("LOG the hub at http://127.0.0.1:9 is out of reach")
    assert NEW[:12] in warning
    assert len(server.requests) == asked


def test_known_branch_costs_one_request(client: Client, server: FakeHub) -> None:
    client.fetch()
    server.requests.clear()
    assert client.fetch()["revision"] == NEW
    about_models = [request for request in server.requests if "/agent-harnesses" not in request]
    assert about_models == ["GET /api/models/owner/name/revision/main"]


def test_pinned_revision_is_fetched_once_and_then_needs_no_hub(client: Client, server: FakeHub) -> None:
    server.commits[OLD] = FILES | {"vocab.json": b'{"old": 0}'}
    result = client.fetch(OLD)
    assert result["revision"] == OLD
    assert (Path(result["directory"]) / "vocab.json").read_bytes() == b'{"old": 0}'
    server.requests.clear()
    again = client.fetch(OLD)
    assert again["directory"] == result["directory"]
    assert server.requests == []
    assert not again["imported"]


def test_moved_branch_is_followed_and_remembered(client: Client, server: FakeHub) -> None:
    server.commits[OLD] = dict(FILES)
    server.branches["main"] = OLD
    assert client.fetch()["revision"] == OLD
    server.branches["main"] = NEW
    assert client.fetch()["revision"] == NEW
    assert client.fetch(offline=True)["revision"] == NEW


def test_update_that_breaks_off_leaves_the_older_copy(client: Client, server: FakeHub) -> None:
    server.commits[OLD] = dict(FILES)
    server.branches["main"] = OLD
    client.fetch()
    server.branches["main"] = NEW
    server.commits[NEW]["model.safetensors"] = WEIGHTS + b"newer"
    server.refuse_files = (403, "GatedRepo")
    result = client.fetch()
    assert result["revision"] == OLD
    assert OLD[:12] in result["stderr"][0]
    assert client.fetch(offline=True)["revision"] == OLD


def test_partial_copy_of_another_program_is_completed(client: Client, server: FakeHub) -> None:
    make_snapshot(client.home, NEW, {"config.json": CONFIG}, "main")
    assert_failed(client.fetch(NEW, offline=True), "not_cached")
    assert client.fetch(NEW)["files"] == sorted(FILES)


def test_offline_run_reads_the_cache_without_a_request(client: Client, server: FakeHub) -> None:
    snapshot = make_snapshot(client.home, OLD, FILES, "main")
    for run in (
        {"offline": True},
        {"env": {"HF_HUB_OFFLINE": "1"}},
        {"env": {"TRANSFORMERS_OFFLINE": "yes"}},
        {"kind": "set_offline"},
    ):
        result = client.fetch(**run)
        assert (result["directory"], result["revision"]) == (str(snapshot), OLD)
        assert not result["imported"]
    assert server.requests == []


def test_cache_directory_is_that_of_the_library(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from sewcli.hub import cache;"
        "from huggingface_hub import constants as theirs;"
        "assert cache.cache_directory() == Path(theirs.HF_HUB_CACHE), cache.cache_directory()"
    )
    base = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE", "XDG_"))}
    base["PYTHONPATH"] = str(Path(sewcli.__file__).parent.parent)
    for variables in (
        {},
        {"XDG_CACHE_HOME": str(tmp_path)},
        {"HF_HOME": "~/hf"},
        {"HF_HOME": "$HOME/hf", "HF_HUB_CACHE": "$HOME/cache", "HUGGINGFACE_HUB_CACHE": "/other"},
    ):
        subprocess.run([sys.executable, "-c", code], env=base | variables, check=True, timeout=60)


@pytest.mark.parametrize("missing", sorted(FILES.keys() - {"preprocessor_config.json"}))
def test_snapshot_counts_as_cached_only_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = make_snapshot(tmp_path, OLD, FILES, "main")
    assert cache.cached_snapshot("owner/name") == cache.cached_snapshot("owner/name", OLD) == snapshot
    assert cache.cached_snapshot("owner/name", "other") is None
    (snapshot / missing).unlink()
    (snapshot / missing).symlink_to(tmp_path / "blob that is gone")
    assert cache.cached_snapshot("owner/name") is None


def test_shards_count_as_cached_only_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = json.dumps({"weight_map": {"a": shards[0], "b": shards[1]}}).encode()
    files = {"config.json": b"{}", "model.safetensors.index.json": index, shards[0]: b"x"}
    snapshot = make_snapshot(tmp_path, OLD, files)
    assert cache.cached_snapshot("owner/name", OLD) is None
    (snapshot / shards[1]).touch()
    assert cache.cached_snapshot("owner/name", OLD) == snapshot


def test_a_configuration_that_nests_without_an_end_is_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is fetched again, and other models are listed."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    make_snapshot(tmp_path, OLD, FILES | {"config.json": b"[" * 100_000}, "main")
    assert cache.cached_snapshot("owner/name") is None


def test_directories_are_checked(tmp_path: Path) -> None:
    local = ModelSpec(path=tmp_path / "model")
    with pytest.raises(ModelError, match="no directory"):
        fetching.fetch(local)
    (tmp_path / "model").mkdir()
    (tmp_path / "run/model").mkdir(parents=True)
    (tmp_path / "run/model/config.json").write_bytes(CONFIG)
    with pytest.raises(ModelError, match=r"no config\.json in .*run \(its model is .*run/model\)"):
        fetching.fetch(ModelSpec(path=tmp_path / "run"))
    with pytest.raises(ModelError, match=r"no config\.json") as caught:
        fetching.fetch(local)
    assert caught.value.code == "damaged_model"
    (tmp_path / "model" / "config.json").write_bytes(CONFIG)
    assert fetching.fetch(local) == fetching.LocalModel(local, tmp_path / "model", None)
    embedded = ModelSpec(alias="nano", path=tmp_path / "model", embedded=True)
    assert fetching.fetch(embedded, offline=True).revision == sewcli.__version__

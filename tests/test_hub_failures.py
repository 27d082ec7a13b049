"""Fetching models where the hub, the network or the disk does not play along."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from fake_hub import (
    FILES,
    NEW,
    OLD,
    WEIGHTS,
    Client,
    FakeHub,
    assert_failed,
    make_snapshot,
)

from sewcli.hub import cache


@pytest.mark.parametrize(
    ("run", "command"),
    [
        ({"offline": True}, "without --offline: sew models pull tiny"),
        ({"env": {"HF_HUB_OFFLINE": "1"}}, "HF_HUB_OFFLINE=0 sew models pull tiny"),
        ({"env": {"SEW_OFFLINE": "1"}}, "SEW_OFFLINE=0 sew models pull tiny"),
        ({"offline": True, "revision": "v2"}, "sew models pull tiny --revision v2"),
    ],
)
def test_offline_with_an_empty_cache_names_the_next_command(
    client: Client, server: FakeHub, run: dict[str, Any], command: str
) -> None:
    result = client.fetch(alias="tiny", **run)
    assert_failed(result, "not_cached", "not in the cache", "offline", command)
    assert server.requests == []


def test_missing_repository(client: Client) -> None:
    assert_failed(client.fetch(repo="owner/other"), "repo_not_found", "owner/other", "HF_TOKEN")


def test_missing_revision_is_an_error_even_with_a_copy_of_it(client: Client) -> None:
    make_snapshot(client.home, OLD, FILES, "gone")
    assert_failed(client.fetch("gone"), "revision_not_found", "'gone'", "--revision")


@pytest.mark.parametrize("place", ["refuse", "refuse_files"])
@pytest.mark.parametrize("status", [401, 403])
def test_gated_repository_asks_for_a_token(client: Client, server: FakeHub, place: str, status: int) -> None:
    setattr(server, place, (status, "GatedRepo"))
    assert_failed(client.fetch(), "gated_repo", "restricted", "HF_TOKEN")


def test_private_repository_opens_with_the_token(client: Client, server: FakeHub) -> None:
    server.token = "hf_secret"
    assert_failed(client.fetch(env={"HF_TOKEN": "hf_other"}), "repo_not_found", "private", "HF_TOKEN")
    assert client.fetch(env={"HF_TOKEN": "hf_secret"})["files"] == sorted(FILES)


def test_server_error_is_told_with_its_number(client: Client, server: FakeHub) -> None:
    server.refuse = (500, "")
    assert_failed(client.fetch(), "hub_error", "500", "again later")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_repository_that_is_no_model(client: Client, server: FakeHub, missing: str) -> None:
    del server.commits[NEW][missing]
    assert_failed(client.fetch(), "damaged_model", missing)
    assert server.downloads() == []


def test_closed_port_is_out_of_reach(unplugged: Client) -> None:
    assert_failed(unplugged.fetch(), "hub_unreachable", "http://127.0.0.1:9", "HF_HOME", "-m")


def test_silent_network_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        client = Client(tmp_path / "home", f"http://127.0.0.1:{silent.getsockname()[1]}")
        result = client.fetch(env={"HF_HUB_ETAG_TIMEOUT": "1", "DO_NOT_TRACK": "1"})
    assert_failed(result, "hub_unreachable", client.endpoint)


def test_revision_cannot_lead_out_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    make_snapshot(tmp_path, OLD, FILES, "main")
    outside = tmp_path / "outside"
    outside.write_text(OLD)
    assert cache.cached_snapshot("owner/name", "main")
    assert cache.cached_snapshot("owner/name", str(outside)) is None
    assert cache.cached_snapshot("owner/name", "../../../outside") is None


def test_something_else_than_a_hub_answers(client: Client, server: FakeHub) -> None:
    server.commits[NEW] = {}
    server.branches["main"] = "login page"
    server.commits["login page"] = {}
    assert_failed(client.fetch(), "hub_error", server.url, "HF_ENDPOINT")


@pytest.mark.parametrize(
    ("resume", "code"),
    [
        ("", "download_failed"),  # a body shorter than announced by HEAD
        ("503", "hub_error"),  # a body shorter than its own header, and no chance to get the rest
        ("hang up", "download_failed"),
    ],
)
@pytest.mark.slow
def test_file_cut_in_transfer_is_never_used(client: Client, server: FakeHub, resume: str, code: str) -> None:
    server.cut, server.resume = "model.safetensors", resume
    assert_failed(client.fetch(), code, "owner/name")
    assert_failed(client.fetch(offline=True), "not_cached")
    server.cut, server.is_cut = None, False
    result = client.fetch()
    assert (Path(result["directory"]) / "model.safetensors").read_bytes() == WEIGHTS


def test_cache_that_cannot_be_written(client: Client, server: FakeHub) -> None:
    client.home.write_text("a file where the directory should be")
    assert_failed(client.fetch(), "cache_not_writable", str(client.home), "HF_HOME")

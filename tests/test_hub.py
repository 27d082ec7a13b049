"""Fetching models: the hub's cache layout offline, and a local server that plays the hub.

huggingface_hub reads its environment when it is imported, so each fetch runs in a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from safetensors.numpy import save

import sewcli
from sewcli import hub, hub_cache
from sewcli.errors import EXIT_MODEL, ModelError
from sewcli.registry import ModelSpec

OLD, NEW = "a" * 40, "b" * 40
CONFIG = json.dumps({"model_type": "sew", "architectures": ["SEWForCTC"]}).encode()
WEIGHTS = save({"lm_head.bias": np.arange(32, dtype=np.float32)})
FILES = {
    "config.json": CONFIG,
    "vocab.json": b'{"<pad>": 0}',
    "preprocessor_config.json": b"{}",
    "model.safetensors": WEIGHTS,
}
DRIVER = """
import json, logging, sys
logging.basicConfig(format="LOG %(message)s")
from sewcli import hub
from sewcli.errors import ModelError
from sewcli.registry import ModelSpec
kind, spec, options = json.loads(sys.argv[1])
if kind == "set_offline":
    hub.set_offline()
try:
    model = hub.fetch(ModelSpec(**spec), **options)
    files = sorted(p.name for p in model.directory.iterdir())
    print(json.dumps({"directory": str(model.directory), "revision": model.revision, "files": files}))
except ModelError as e:
    print(json.dumps({"code": e.code, "message": e.message, "hint": e.hint, "exit_code": e.exit_code}))
print("huggingface_hub" in sys.modules, file=sys.stderr)
"""


@dataclass
class FakeHub:
    """State of the server: commits by branch, files by commit, and what it was asked."""

    branches: dict[str, str] = field(default_factory=lambda: {"main": NEW})
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {NEW: dict(FILES)})
    requests: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    refuse: tuple[int, str] | None = None
    refuse_files: tuple[int, str] | None = None
    cut: str | None = None
    resume: str = ""
    token: str | None = None
    is_cut: bool = False
    url: str = ""

    def downloads(self) -> list[str]:
        return [request.rsplit("/", 1)[1] for request in self.requests if request.startswith("GET /owner/")]


class Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        sent = {"Content-Length": str(len(body))} | {k.replace("_", "-"): v for k, v in headers.items()}
        for name, value in (sent | self.hub.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def refuse(self, refusal: tuple[int, str]) -> None:
        self.answer(refusal[0], X_Error_Code=refusal[1])

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        path = unquote(urlsplit(self.path).path)
        if self.hub.token and self.headers["Authorization"] != f"Bearer {self.hub.token}":
            return self.refuse((401, "RepoNotFound"))
        if found := re.fullmatch(r"/api/models/owner/name/(revision|tree)/(.+)", path):
            return self.describe(*found.groups())
        if found := re.fullmatch(r"/owner/name/resolve/([^/]+)/(.+)", path):
            return self.file(*found.groups())
        return self.refuse((404, "RepoNotFound"))

    def describe(self, kind: str, revision: str) -> None:
        commit = self.hub.branches.get(revision, revision)
        if self.hub.refuse:
            return self.refuse(self.hub.refuse)
        if commit not in self.hub.commits:
            return self.refuse((404, "RevisionNotFound"))
        files = self.hub.commits[commit]
        if kind == "revision":
            body: Any = {"id": "owner/name", "sha": commit, "siblings": [{"rfilename": n} for n in files]}
        else:
            body = [
                {"type": "file", "path": n, "size": len(b), "oid": hashlib.sha1(b).hexdigest()}
                for n, b in files.items()
            ]
        return self.answer(200, json.dumps(body).encode(), Content_Type="application/json")

    def file(self, commit: str, name: str) -> None:
        if self.hub.refuse_files:
            return self.refuse(self.hub.refuse_files)
        if self.hub.is_cut and self.command == "GET":
            if self.hub.resume == "503":
                return self.answer(503)
            self.close_connection = True  # without a word
            return None
        body = self.hub.commits.get(commit, {}).get(name)
        if body is None:
            return self.refuse((404, "EntryNotFound"))
        facts = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X_Repo_Commit": commit}
        if self.command == "GET" and self.hub.cut == name:
            if self.hub.resume:
                self.hub.is_cut = True
                facts["Content_Length"] = str(len(body))
            body = body[: len(body) // 2]
        return self.answer(200, body, **facts)


@pytest.fixture
def server() -> Iterator[FakeHub]:
    state = FakeHub()
    handler = type("BoundHandler", (Handler,), {"hub": state})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


@dataclass
class Client:
    """A user's machine: its HF_HOME and its hub."""

    home: Path
    endpoint: str

    def fetch(
        self,
        revision: str | None = "main",
        *,
        kind: str = "",
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        spec = {
            "repo": options.pop("repo", "owner/name"),
            "revision": revision,
            "alias": options.pop("alias", None),
            "source": options.pop("source", None),
        }
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE", "TRANSFORMERS_"))
        }
        ours = {"HF_HOME": str(self.home), "HF_ENDPOINT": self.endpoint, "NO_PROXY": "127.0.0.1"}
        ours["PYTHONPATH"] = str(Path(sewcli.__file__).parent.parent)
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, json.dumps([kind, spec, options])],
            env=kept | ours | (env or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        *lines, imported = done.stderr.splitlines()
        return json.loads(done.stdout) | {"stderr": lines, "imported": imported == "True"}


@pytest.fixture
def client(tmp_path: Path, server: FakeHub) -> Client:
    return Client(tmp_path / "home", server.url)


@pytest.fixture
def unplugged(tmp_path: Path) -> Client:
    """A machine whose hub answers on no port (9, discard, is refused)."""
    return Client(tmp_path / "home", "http://127.0.0.1:9")


def make_snapshot(home: Path, commit: str, files: dict[str, bytes], branch: str | None = None) -> Path:
    storage = home / "hub" / "models--owner--name"
    snapshot = storage / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for name, content in files.items():
        (snapshot / name).write_bytes(content)
    if branch:
        (storage / "refs").mkdir()
        (storage / "refs" / branch).write_text(commit)
    return snapshot


def assert_failed(result: dict[str, Any], code: str, *words: str) -> None:
    assert result.get("code") == code, result
    assert result["exit_code"] == EXIT_MODEL
    assert "\n" not in result["message"]
    text = f"{result['message']} ({result['hint']})"
    for word in words:
        assert word in text, text
    assert result["stderr"] == []


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


@pytest.mark.parametrize(
    ("run", "command"),
    [
        ({"offline": True}, "without --offline: sew models pull tiny"),
        ({"env": {"HF_HUB_OFFLINE": "1"}}, "HF_HUB_OFFLINE=0 sew models pull tiny"),
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
    assert hub_cache.cached_snapshot("owner/name", "main")
    assert hub_cache.cached_snapshot("owner/name", str(outside)) is None
    assert hub_cache.cached_snapshot("owner/name", "../../../outside") is None


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


def test_cache_directory_is_that_of_the_library(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from sewcli import hub_cache;"
        "from huggingface_hub import constants as theirs;"
        "assert hub_cache.cache_directory() == Path(theirs.HF_HUB_CACHE), hub_cache.cache_directory()"
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
    assert hub_cache.cached_snapshot("owner/name") == hub_cache.cached_snapshot("owner/name", OLD) == snapshot
    assert hub_cache.cached_snapshot("owner/name", "other") is None
    (snapshot / missing).unlink()
    (snapshot / missing).symlink_to(tmp_path / "blob that is gone")
    assert hub_cache.cached_snapshot("owner/name") is None


def test_shards_count_as_cached_only_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = json.dumps({"weight_map": {"a": shards[0], "b": shards[1]}}).encode()
    files = {"config.json": b"{}", "model.safetensors.index.json": index, shards[0]: b"x"}
    snapshot = make_snapshot(tmp_path, OLD, files)
    assert hub_cache.cached_snapshot("owner/name", OLD) is None
    (snapshot / shards[1]).touch()
    assert hub_cache.cached_snapshot("owner/name", OLD) == snapshot


def test_directories_are_checked(tmp_path: Path) -> None:
    local = ModelSpec(path=tmp_path / "model")
    with pytest.raises(ModelError, match="no directory"):
        hub.fetch(local)
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match=r"no config\.json") as caught:
        hub.fetch(local)
    assert caught.value.code == "damaged_model"
    (tmp_path / "model" / "config.json").write_bytes(CONFIG)
    assert hub.fetch(local) == hub.LocalModel(local, tmp_path / "model", None)
    embedded = ModelSpec(alias="nano", path=tmp_path / "model", embedded=True)
    assert hub.fetch(embedded, offline=True).revision == sewcli.__version__

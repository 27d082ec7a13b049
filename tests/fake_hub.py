"""A local server that plays the hub, and a user of it in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from safetensors.numpy import save

import sewcli
from sewcli.errors import EXIT_MODEL

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
from sewcli.hub import fetching, offline
from sewcli.errors import ModelError
from sewcli.registry import ModelSpec
kind, spec, options = json.loads(sys.argv[1])
if kind == "set_offline":
    offline.set_offline()
try:
    model = fetching.fetch(ModelSpec(**spec), **options)
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


@contextmanager
def serving(hub: FakeHub, handler: type[Handler] = Handler) -> Iterator[None]:
    """Answer at the `url` of a hub by a handler, for as long as the context lasts."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield
    http.shutdown()
    http.server_close()
    thread.join()

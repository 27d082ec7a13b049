"""`sew models list` and `sew models show`."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sewcli
from sewcli.cli.commands.models import app, describe
from sewcli.errors import EXIT_USAGE, ModelError
from sewcli.registry import load_registry

COMMIT = "c" * 40
HEAVY = ("torch", "transformers", "numpy", "librosa", "huggingface_hub")
ROOT = Path(sewcli.__file__).parent.parent


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def put_in_cache(cache: Path, repo: str) -> Path:
    storage = cache / f"models--{repo.replace('/', '--')}"
    snapshot = storage / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("config.json", "vocab.json", "model.safetensors"):
        (snapshot / name).write_text("{}")
    (storage / "refs").mkdir()
    (storage / "refs" / "main").write_text(COMMIT)
    return snapshot


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def test_list_in_a_pipe_is_one_line_a_model_with_tabs(cache: Path) -> None:
    put_in_cache(cache, "asapp/sew-tiny-100k-ft-ls100h")
    rows = {cells[0]: cells for cells in (line.split("\t") for line in run("list").splitlines())}
    assert list(rows) == list(load_registry().models)
    assert {len(cells) for cells in rows.values()} == {8}
    description = "LibriSpeech WER 10.61 clean, 23.74 other"
    assert rows["sew-tiny"] == [
        "sew-tiny", "ctc", "sew", "en", "apache-2.0", "163 MB", "cached", description,
    ]  # fmt: skip
    assert rows["sew-d-mid"][6] == "hub"


def test_list_as_json_is_one_object_a_line(cache: Path) -> None:
    snapshot = put_in_cache(cache, "asapp/sew-d-mid-400k-ft-ls100h")
    output = run("list", "--json")
    assert run("list", "-f", "json") == output
    records = {record["alias"]: record for record in map(json.loads, output.splitlines())}
    assert list(records) == list(load_registry().models)
    assert records["sew-d-mid"] == {
        "schema_version": 1,
        "alias": "sew-d-mid",
        "default_for": [],
        "task": "ctc",
        "family": "sew-d",
        "language": "en",
        "licence": "apache-2.0",
        "parameters": 78.8,
        "size_mb": 315,
        "defaults": {},
        "description": "LibriSpeech WER 4.94 clean, 11.51 other",
        "repo": "asapp/sew-d-mid-400k-ft-ls100h",
        "revision": "main",
        "where": "cached",
        "directory": str(snapshot),
        "source": "packaged",
        "shadows": False,
    }
    assert records["nano"]["default_for"] == ["ctc", "features"]
    assert records["sew-tiny"]["where"] == "hub"
    assert records["sew-tiny"]["directory"] is None


def test_show_prints_every_field(cache: Path) -> None:
    lines = dict(line.split(": ", 1) for line in run("show", "sew-tiny-100k").splitlines())
    assert lines["default_for"] == "-"
    assert lines["repo"] == "asapp/sew-tiny-100k"
    assert lines["parameters"] == "40.7"
    assert (lines["where"], lines["directory"]) == ("hub", "-")
    assert lines.keys() == json.loads(run("show", "sew-tiny-100k", "-f", "json")).keys() - {"schema_version"}


def test_show_tells_where_the_files_are(cache: Path, tmp_path: Path) -> None:
    snapshot = put_in_cache(cache, "asapp/sew-tiny-100k-ft-ls100h")
    record = json.loads(run("show", "sew-tiny", "--json"))
    assert (record["where"], record["directory"]) == ("cached", str(snapshot))
    record = json.loads(run("show", "sew-tiny", "--json", "--revision", "v2"))
    assert (record["revision"], record["where"]) == ("v2", "hub")
    record = json.loads(run("show", str(tmp_path), "--json"))
    assert (record["alias"], record["where"], record["directory"]) == (None, "local", str(tmp_path))
    assert json.loads(run("show", "nano", "--json"))["directory"].endswith("sewcli/models/nano")


def test_embedded_model_without_its_files_is_called_missing(tmp_path: Path) -> None:
    registry = load_registry()
    spec = replace(registry.models["nano"], path=tmp_path / "nano")
    assert describe(spec, registry)["where"] == "missing"
    (tmp_path / "nano").mkdir()
    assert describe(spec, registry)["where"] == "embedded"


def test_unknown_model_is_left_to_the_main_command() -> None:
    result = CliRunner().invoke(app, ["show", "sew-tny"])
    assert isinstance(result.exception, ModelError)
    assert "sew-tiny" in result.exception.message
    assert result.stdout == ""


def test_show_has_the_labels_of_a_classifier_that_is_here(tmp_path: Path) -> None:
    labels = json.loads(run("show", "nano-keywords", "--json"))["labels"]
    assert len(labels) == 25
    assert {"jarvis", "_unknown_"} < set(labels)
    [line] = [line for line in run("show", "nano-keywords").splitlines() if line.startswith("labels: ")]
    assert line == f"labels: {', '.join(labels)}"
    assert json.loads(run("show", "nano", "--json"))["labels"] is None
    shutil.copytree(ROOT / "sewcli/models/nano-keywords", tmp_path / "own")
    config = json.loads((tmp_path / "own/config.json").read_text())
    config["id2label"] = {"1": "yes", "2": "no"}
    (tmp_path / "own/config.json").write_text(json.dumps(config))
    assert json.loads(run("show", str(tmp_path / "own"), "--json"))["labels"] is None


@pytest.mark.parametrize("arguments", [["show"], ["list", "-f", "xml"], ["list", "extra"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == EXIT_USAGE


@pytest.mark.parametrize("width", [80, 160])
def test_terminal_gets_a_table_with_whole_names(width: int) -> None:
    lines = in_terminal("from sewcli.cli.commands.models import app; app(['list'])", width).splitlines()
    words = {line.split()[0]: line for line in lines if line.split()}
    assert load_registry().models.keys() <= words.keys()
    assert words["nano"].split()[1] == "*"
    assert words["sew-tiny"].split()[1] == "ctc"
    assert max(map(len, lines)) <= width
    assert ("licence" in words["alias"]) == (width == 160)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, sewcli.cli.commands.models, sewcli.registry, sewcli.hub.fetching;"
        "sewcli.cli.commands.models.list_models('json');"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "[]"


def in_terminal(code: str, width: int) -> str:
    """Run code with standard output on a pseudo-terminal; return what it printed there."""
    master, slave = pty.openpty()
    env = os.environ | {"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    chunks = []
    with subprocess.Popen([sys.executable, "-c", code], stdout=slave, env=env) as process:
        os.close(slave)
        while select.select([master], [], [], 30)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(master)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", b"".join(chunks).decode()).replace("\r\n", "\n")

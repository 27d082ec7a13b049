"""`sew doctor`: what works and what does not, each tried in a machine that lacks it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Sew

from sewcli.acoustic import load
from sewcli.doctor import packages
from sewcli.doctor.examination import examine_card
from sewcli.hub.fetching import LocalModel


def examined(sew: Sew, code: int = 0) -> dict[str, dict[str, Any]]:
    """The findings by name."""
    result = sew("doctor", "-f", "json")
    assert result.code == code, result.err
    [record] = result.records
    assert record["ok"] == (code == 0)
    return {check["name"]: check for check in record["checks"]}


def test_all_that_is_needed_works_here(sew: Sew, tmp_path: Path) -> None:
    found = examined(sew)
    assert all(check["ok"] for check in found.values() if check["needed"])
    for name in (
        "torch",
        "device",
        "threads",
        "audio",
        "video and m4a",
        "cache",
        "hub",
        "nano",
        "nano-keywords",
    ):
        assert found[name]["detail"]
    assert "opus mp3" in found["audio"]["detail"]
    assert str(tmp_path / "empty-hub-cache") in found["cache"]["detail"]
    assert "loads and runs" in found["nano"]["detail"]


def test_default_models_of_ones_own_are_tried(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    shutil.copytree(ctc, tmp_path / "mine")
    assert not [name for name in examined(sew) if name.startswith("default")]
    sew("models", "add", "mine", tmp_path / "mine")
    sew("models", "default", "mine")
    sew("models", "default", "sew-mid-keywords")
    found = examined(sew)
    assert found["default for ctc"]["detail"].startswith("mine loads and runs")
    far = found["default for classification"]
    assert (far["ok"], far["needed"], far["fix"]) == (False, False, "sew models pull sew-mid-keywords")

    (tmp_path / "mine" / "model.safetensors").write_bytes(b"")
    broken = examined(sew, 5)["default for ctc"]
    assert broken["needed"]
    assert "model.safetensors" in broken["detail"]


def test_text_is_a_line_a_finding(sew: Sew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "av", None)
    result = sew("doctor")
    cells = {line.split("\t")[1]: line.split("\t") for line in result.lines}
    assert {len(row) for row in cells.values()} == {4}
    assert cells["nano"][0] == "ok"
    assert cells["video and m4a"][0] == "missing"
    assert "apt install ffmpeg" in cells["video and m4a"][3]
    assert (result.code, result.err) == (0, "")


def test_offline_is_told(sew: Sew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "offline" in examined(sew)["hub"]["detail"]


def test_library_that_cannot_be_imported_is_broken(sew: Sew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    found = examined(sew, code=5)
    assert not found["transformers"]["ok"]
    assert found["transformers"]["fix"]
    assert found["torch"]["ok"]


def test_what_only_some_uses_need_may_be_missing(sew: Sew, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pyctcdecode" else find(name, *rest)
    )
    found = examined(sew)
    assert (found["beam search"]["ok"], found["beam search"]["needed"]) == (False, False)
    assert "pyctcdecode" in found["beam search"]["detail"]


def test_missing_extra_names_its_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extras are those of the metadata; here of a package with two, one of which holds the other."""
    metadata = importlib.metadata.metadata("pip")
    for extra in ("first", "second", "third", "test"):
        metadata["Provides-Extra"] = extra
    wanted = [
        "numpy>=1",
        "no-such-library>=3; extra == 'first'",
        "numpy>=1; extra == 'second'",
        "numpy>=1000; extra == 'second'",
        "sewcli[first]; extra == 'second'",
        "numpy>=1; python_version < '3' and extra == 'third'",
    ]
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _name: metadata)
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: wanted)
    first, second, third = packages.extras()
    assert (first.name, first.ok, first.fix) == ("extra first", False, "pip install 'sewcli[first]'")
    assert first.detail == "without no-such-library>=3"
    assert "numpy>=1000 (there is" in second.detail
    assert "no-such-library" in second.detail
    assert (third.ok, third.fix) == (False, None)
    assert "nothing of it for Python 3." in third.detail


def test_bad_settings_are_found(sew: Sew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sew.toml").write_text("chnk = 3\n")
    found = examined(sew, code=5)
    assert "chnk" in found["settings"]["detail"]


def test_variables_that_no_command_reads_are_listed(sew: Sew, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examined(sew)["variables"]["ok"]
    monkeypatch.setenv("SEW_MODLE", "nano")
    found = examined(sew)["variables"]
    assert (found["ok"], found["needed"]) == (False, False)
    assert found["detail"] == "SEW_MODLE is no setting of sew (did you mean SEW_MODEL?)"
    assert sew("doctor").err == ""


def test_damaged_embedded_model_is_broken(sew: Sew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sewcli import models_toml

    monkeypatch.setattr(models_toml, "_PACKAGE", tmp_path)
    found = examined(sew, code=5)
    assert not found["nano"]["ok"]
    assert str(tmp_path) in found["nano"]["detail"]
    assert found["nano"]["fix"] == "install the package again"


def test_output_fits_its_schema(sew: Sew) -> None:
    import json

    from jsonschema import Draft202012Validator

    schema = json.loads(sew("schema", "doctor").out)
    [record] = sew("doctor", "-f", "json").records
    Draft202012Validator(schema).validate(record)


def test_a_device_is_held_against_the_cpu() -> None:
    found = examine_card("cpu")
    assert found.ok
    assert "both families" in found.detail


@pytest.mark.parametrize(
    ("off", "verdict"),
    [(1e-4, "give the logits"), (0.01, "nano gives logits that differ"), (np.nan, "by nan of the largest")],
)
def test_a_card_whose_logits_differ_is_no_good(
    monkeypatch: pytest.MonkeyPatch, off: float, verdict: str
) -> None:
    """The network of the CPU stands for that of a card which adds something to its logits."""

    load_model = load.load_model

    def loaded(local: LocalModel, task: str, device: str) -> Any:
        network = load_model(local, task, device="cpu")
        if device == "cpu":
            return network
        return lambda segments: [logits + off * np.abs(logits).max() for logits in network(segments)]

    monkeypatch.setattr(load, "load_model", loaded)
    found = examine_card("card")
    assert found.ok == (off == 1e-4)
    assert verdict in found.detail
    assert found.fix == (None if found.ok else "use --device cpu, and tell us")


def test_a_machine_without_a_temporary_directory_is_told_of_tmpdir(
    sew: Sew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "file")])
    found = examined(sew, code=5)["temporary"]
    assert "No usable temporary directory" in found["detail"]
    assert found["fix"] == "set TMPDIR to a directory that can be written to"


@pytest.mark.parametrize("name", ["file", "x" * 300])
def test_a_cache_that_cannot_be_is_told_of_hf_home(
    sew: Sew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A file in its place, and a name that no directory can have."""
    (tmp_path / "file").touch()
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / name))
    found = examined(sew, code=0 if name == "file" else 5)["cache"]
    assert not found["ok"]
    assert found["fix"] == "set HF_HOME to another place"


@pytest.mark.card
def test_a_card_gives_the_logits_of_the_cpu() -> None:
    assert examine_card("cuda").ok

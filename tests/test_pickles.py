"""Models whose weights are a pickle: loaded for packaged aliases, refused for others, converted on demand."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import Sew
from fake_hub import NEW, FakeHub, serving
from hub_runs import REPO, Publisher, pickled, run
from safetensors.torch import load_file

from sewcli.acoustic.pickled import read_pickle
from sewcli.errors import ModelError


@pytest.fixture
def published(ctc: Path) -> Iterator[FakeHub]:
    """A hub with a model whose weights are a pickle."""
    files = {file.name: file.read_bytes() for file in ctc.iterdir() if file.suffix == ".json"}
    files["pytorch_model.bin"] = pickled(load_file(ctc / "model.safetensors"))
    state = FakeHub(commits={NEW: files})
    with serving(state, Publisher):
        yield state


def with_pickle(model: Path, target: Path, content: bytes) -> Path:
    shutil.copytree(model, target)
    (target / "model.safetensors").unlink()
    (target / "pytorch_model.bin").write_bytes(content)
    return target


@pytest.mark.defaults
def test_a_packaged_alias_loads_its_pickle_and_keeps_safetensors(
    published: FakeHub, sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    [expected] = sew("transcribe", "-m", ctc, "-f", "json", audio / "a.wav").records
    arguments = ("transcribe", "-m", "sew-tiny", "-f", "json", audio / "a.wav")
    first = run(published, tmp_path, *arguments)
    assert first.returncode == 0, first.stderr
    assert "a safetensors copy lies beside it now" in first.stderr
    record = json.loads(first.stdout)
    assert (record["text"], record["words"]) == (expected["text"], expected["words"])
    assert record["model"] == {"id": "sew-tiny", "revision": NEW}
    [copy] = tmp_path.rglob("snapshots/*/model.safetensors")
    original = load_file(ctc / "model.safetensors")
    for name, tensor in load_file(copy).items():
        assert torch.equal(tensor, original[name])
    again = run(published, tmp_path, *arguments, "--offline")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == first.stdout


def test_pull_converts_and_tells_the_commit(published: FakeHub, tmp_path: Path) -> None:
    done = run(published, tmp_path, "models", "pull", "sew-tiny")
    assert done.returncode == 0, done.stderr
    assert f"sew-tiny: main is commit {NEW}" in done.stderr
    assert (Path(done.stdout.strip()) / "model.safetensors").is_file()


def test_another_name_is_refused_before_the_download_and_can_be_converted(
    published: FakeHub, audio: Path, tmp_path: Path
) -> None:
    refused = run(published, tmp_path, "transcribe", "-m", REPO, audio / "a.wav")
    assert refused.returncode == 5
    assert f"sew models convert {REPO} -o DIR" in refused.stderr
    assert published.downloads() == []
    target = tmp_path / "converted"
    made = run(published, tmp_path, "models", "convert", REPO, "-o", target)
    assert (made.returncode, made.stdout) == (0, f"{target}\n"), made.stderr
    done = run(published, tmp_path, "transcribe", "--offline", "-m", target, audio / "a.wav")
    assert done.returncode == 0, done.stderr


@pytest.mark.transformers
def test_a_directory_is_refused_and_converted(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    weights = load_file(ctc / "model.safetensors")
    weights["tied.weight"] = weights["lm_head.weight"]  # one tensor under two names, as torch saves them
    source = with_pickle(ctc, tmp_path / "pickled", pickled(weights))
    refused = sew("transcribe", "-m", source, audio / "a.wav")
    assert (refused.code, refused.out) == (5, b"")
    assert f"sew models convert {source} -o DIR" in refused.messages[0]
    target = tmp_path / "new" / "model"
    assert sew("models", "convert", source, "-o", target).lines == [str(target)]
    assert sorted(file.name for file in target.iterdir()) == sorted(file.name for file in ctc.iterdir())
    for engine in ("fast", "reference"):
        arguments = ("transcribe", "-f", "json", audio / "a.wav", "--engine", engine, "-m")
        assert sew(*arguments, target).texts == sew(*arguments, ctc).texts
    full = sew("models", "convert", source, "-o", target)
    assert full.code == 2
    assert "not empty" in full.messages[0]
    whole = sew("models", "convert", ctc, "-o", tmp_path / "other")
    assert whole.code == 2
    assert "has no pytorch_model.bin" in whole.messages[0]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_conversion_that_fails_can_be_tried_again(
    sew: Sew, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    weights = load_file(ctc / "model.safetensors")
    headless = {name: tensor for name, tensor in weights.items() if "lm_head" not in name}
    source = with_pickle(ctc, tmp_path / "pickled", pickled(headless))
    target = tmp_path / "new" / "model"
    if is_there:
        target.mkdir(parents=True)
    failed = sew("models", "convert", source, "-o", target)
    assert (failed.code, failed.out) == (5, b"")
    assert failed.messages[0].startswith(f"sew: {source} has no lm_head.weight")
    assert not [*tmp_path.glob("new/**/*.*"), *tmp_path.glob("new/.*")]
    (source / "pytorch_model.bin").write_bytes(pickled(weights))

    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        assert "No space left" in sew("models", "convert", source, "-o", target).err
    assert sew("models", "convert", source, "-o", target).lines == [str(target)]
    assert sorted(file.name for file in target.iterdir()) == sorted(file.name for file in ctc.iterdir())
    assert [file.name for file in target.parent.iterdir()] == ["model"]


class Trap:
    """What a hostile pickle holds: a call made when it is loaded."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.victim),)


def test_nothing_in_a_pickle_is_run(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    for number, content in enumerate((pickle.dumps(Trap(victim)), pickled({"x": Trap(victim)}))):
        source = with_pickle(ctc, tmp_path / f"trap{number}", content)
        result = sew("models", "convert", source, "-o", tmp_path / f"out{number}")
        assert result.code == 5
        assert str(source) in result.messages[0]
        assert len(result.messages) == 1
        assert not victim.exists()
        assert not (tmp_path / f"out{number}").exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"garbage" * 99, "pickle"),
        (b"", "damaged_model"),
        (pickled({"state_dict": {"x": torch.zeros(1)}}), "pickle"),
        (pickled([1, 2]), "pickle"),
        (pickled({"x": torch.zeros(1)})[:200], "damaged_model"),
    ],
)
def test_what_is_no_pickle_of_tensors_says_so(tmp_path: Path, content: bytes, code: str) -> None:
    file = tmp_path / "pytorch_model.bin"
    file.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_pickle(file)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)

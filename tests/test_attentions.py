"""`sew embed --attentions`: the attention weights of transformers, whole and in chunks, and their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from conftest import Sew
from helpers import babble, short_of_memory, tiny_model
from safetensors import safe_open

from sewcli.acoustic.load import load_model
from sewcli.audio.arrays import array_source
from sewcli.chunking import ChunkPlan
from sewcli.consumers.embedder import Embedder
from sewcli.errors import DeviceError
from sewcli.hub.fetching import LocalModel
from sewcli.pipeline.run import Options, run
from sewcli.registry import ModelSpec
from sewcli.results import ModelInfo

FAMILIES = ("sew", "sew-d")


@pytest.fixture(scope="session")
def encoders(models: Path) -> dict[str, Path]:
    """An encoder without a head for each family."""
    return {family: tiny_model(models / f"attending-{family}", family, "features") for family in FAMILIES}


@pytest.fixture(autouse=True)
def any_engine(sew: Sew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the choice of the engine to the command: the fast one has no attentions."""
    monkeypatch.delenv("SEW_ENGINE", raising=False)


def reference(directory: Path, samples: Any) -> Any:
    """The attentions of transformers for one recording run whole: (layers, heads, states, states)."""
    from transformers import AutoModel

    wave = torch.from_numpy((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7))
    model = AutoModel.from_pretrained(directory, attn_implementation="eager").eval()
    with torch.no_grad():
        output = model(wave[None], output_attentions=True)
    return np.concatenate([layer.numpy() for layer in output.attentions])


def saved(file: Path, seconds: float) -> tuple[Path, Any]:
    sound = babble(seconds, seed=5)
    soundfile.write(file, sound, 16_000, subtype="FLOAT")
    return file, sound


def read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of an archive and its metadata."""
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return arrays, json.loads(str(arrays.pop("metadata")))


@pytest.mark.float32
@pytest.mark.parametrize("seconds", [1.0, 1.00625])
@pytest.mark.parametrize("family", FAMILIES)
def test_attentions_are_those_of_transformers(
    sew: Sew, encoders: dict[str, Path], tmp_path: Path, family: str, seconds: float
) -> None:
    file, sound = saved(tmp_path / "a.wav", seconds)
    expected = reference(encoders[family], sound)
    plain = sew("embed", file, "-m", encoders[family], "-f", "npz")
    result = sew("embed", file, "-m", encoders[family], "--attentions", "-f", "npz")
    assert (result.code, result.err) == (0, "")
    (tmp_path / "a.npz").write_bytes(result.out)
    (tmp_path / "b.npz").write_bytes(plain.out)
    arrays, metadata = read(tmp_path / "a.npz")
    without, _ = read(tmp_path / "b.npz")
    assert sorted(arrays) == ["attentions.0", "states"]
    weights = arrays["attentions.0"]
    states = len(arrays["states"]) // 2
    assert weights.shape == expected.shape == (2, 4, states, states)
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-5)
    assert np.abs(weights[0] - weights[1]).max() > 1e-3
    np.testing.assert_allclose(arrays["states"], without["states"], atol=1e-5)
    assert metadata["attentions"] == {
        "frame_seconds": 0.04,
        "chunks": [{"array": "attentions.0", "shape": list(weights.shape), "first_query": 0, "first_key": 0}],
    }


@pytest.mark.float32
@pytest.mark.parametrize("family", FAMILIES)
def test_each_state_of_a_long_recording_asks_once(
    sew: Sew, encoders: dict[str, Path], tmp_path: Path, family: str
) -> None:
    """What a chunk holds is what transformers gives for it, its context among the keys alone."""
    file, sound = saved(tmp_path / "long.wav", 9.0)
    options = ("--attentions", "--chunk", 4, "--stride", 1, "--statistics", "chunk", "-f", "npz")
    assert sew("embed", file, "-m", encoders[family], *options, "-o", tmp_path).code == 0
    arrays, metadata = read(tmp_path / "long.npz")
    chunks = metadata["attentions"]["chunks"]
    assert len(chunks) == 4
    queries = 0
    for chunk in chunks:
        weights = arrays[chunk["array"]]
        _, _, asking, heard = weights.shape
        assert list(weights.shape) == chunk["shape"]
        assert chunk["first_query"] == queries
        queries += asking
        start = chunk["first_key"] * 640
        # the last one reads to the end
        piece = sound[start:] if chunk is chunks[-1] else sound[start : start + heard * 640 + 80]
        first = chunk["first_query"] - chunk["first_key"]
        assert first >= 0
        expected = reference(encoders[family], piece)[:, :, first : first + asking]
        np.testing.assert_allclose(weights, expected, atol=1e-6)
    assert queries == len(arrays["states"]) // 2
    assert chunks[1]["first_key"] == chunks[1]["first_query"] - 25


@pytest.mark.transformers
def test_attentions_of_a_batch_that_went_wrong_are_no_others(
    encoders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a card, where the last of four inputs does not fit the memory, and its half of a batch fails."""
    directory = encoders["sew"]
    local = LocalModel(ModelSpec(path=directory), directory, None)
    network = load_model(local, "features", engine="reference").giving(None, attentions=True)
    short_of_memory(
        network, monkeypatch, lambda segments: max(one.samples.size for one in segments) > 16_000 * 1.5
    )
    monkeypatch.setattr(network, "device", "cuda:0")
    sounds = [array_source(babble(seconds, seed=9), 16_000) for seconds in (1.0, 0.8, 1.2, 2.0)]
    results = run(
        sounds,
        network,
        lambda: Embedder(network.columns, None, "none", ModelInfo("m"), {}, attentions=True),
        Options(ChunkPlan.from_seconds(20.0, 1.0), batch_seconds=30.0, read_workers=0),
    )
    done: list[Any] = []
    with pytest.raises(DeviceError, match="out of memory"):
        done.extend(results)
    for sound in done:
        assert [chunk.weights.shape[-1] for chunk in sound.attentions] == [len(sound.states) // 2]
    assert len(done) == 3


@pytest.mark.transformers
def test_batches_give_what_each_input_gives_alone(
    sew: Sew, encoders: dict[str, Path], tmp_path: Path
) -> None:
    inputs = [saved(tmp_path / f"{i}.wav", seconds)[0] for i, seconds in enumerate((1.0, 2.3, 0.7))]
    options = ("-m", encoders["sew"], "--attentions", "-f", "safetensors", "--layer", 1)
    assert sew("embed", *inputs, *options, "-o", tmp_path / "one").code == 0
    assert sew("embed", *inputs, *options, "-o", tmp_path / "all", "--batch-seconds", 30).code == 0
    for file in inputs:
        found = []
        for folder in ("one", "all"):
            path = (tmp_path / folder / file.name).with_suffix(".safetensors")
            with safe_open(path, framework="numpy") as tensors:
                assert sorted(tensors.keys()) == ["attentions.0", "states"]
                found.append((tensors.get_tensor("attentions.0"), tensors.get_tensor("states")))
                assert json.loads(tensors.metadata()["attentions"])["frame_seconds"] == 0.04
        for one, other in zip(*found, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, atol=1e-5)
        assert found[0][0].shape[2] == len(found[0][1])


@pytest.mark.transformers
def test_states_may_be_pooled(sew: Sew, encoders: dict[str, Path], tmp_path: Path) -> None:
    file, _ = saved(tmp_path / "a.wav", 1.0)
    options = ("-m", encoders["sew"], "--pool", "mean", "--attentions", "-o", tmp_path)
    assert sew("embed", file, *options, "-f", "npz", "-f", "json").code == 0
    arrays, metadata = read(tmp_path / "a.npz")
    assert (arrays["states"].shape, arrays["attentions.0"].shape) == ((64,), (2, 4, 24, 24))
    assert json.loads((tmp_path / "a.json").read_text()) == metadata


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--attentions: a .npy holds one array"),
        (("-f", "npz", "-f", "npy", "-o", "out"), "--attentions: a .npy holds one array"),
        (("--pool", "mean", "--stack", "x.npz"), "--attentions and --stack exclude each other"),
    ],
)
def test_files_of_one_array_are_refused(
    sew: Sew,
    encoders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = sew("embed", "a.wav", "-m", encoders["sew"], "--attentions", *arguments)
    assert (result.code, result.out) == (2, b"")
    assert message in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.transformers
def test_resume_does_not_take_files_without_attentions_for_done(
    sew: Sew, encoders: dict[str, Path], tmp_path: Path
) -> None:
    file, _ = saved(tmp_path / "a.wav", 1.0)
    options = ("-m", encoders["sew"], "-f", "npz", "-o", tmp_path / "out", "--resume")
    assert sew("embed", file, *options).code == 0
    assert sew("embed", file, *options, "--attentions").code == 0
    assert "attentions.0" in read(tmp_path / "out" / "a.npz")[0]

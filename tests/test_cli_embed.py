"""`sew embed`: equal to transformers, in every format and layer, whole and in chunks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Sew
from helpers import babble, change_json, tiny_model, write_babble
from safetensors import safe_open

#: samples that give an odd and an even number of frames (49 and 50)
ODD, EVEN = 16_000, 16_100


@pytest.fixture(scope="session")
def encoders(models: Path) -> dict[str, Path]:
    """An encoder without a head for each family."""
    return {
        family: tiny_model(models / f"encoder-{family}", family, "features") for family in ("sew", "sew-d")
    }


def reference(directory: Path, samples: Any) -> tuple[Any, list[Any]]:
    """last_hidden_state and hidden_states of the transformers library, for one recording run whole."""
    import torch
    from transformers import AutoModel

    wave = torch.from_numpy((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7))
    with torch.no_grad():
        output = AutoModel.from_pretrained(directory).eval()(wave[None], output_hidden_states=True)
    return output.last_hidden_state[0].numpy(), [states[0].numpy() for states in output.hidden_states]


def saved(folder: Path, samples: int) -> tuple[Path, Any]:
    import soundfile

    sound = babble(samples / 16_000, seed=5)
    assert sound.size == samples
    file = folder / f"{samples}.wav"
    soundfile.write(file, sound, 16_000, subtype="FLOAT")
    return file, sound


def embedded(sew: Sew, *arguments: Any) -> Any:
    result = sew("embed", *arguments)
    assert (result.code, result.err) == (0, "")
    return np.load(io.BytesIO(result.out))


@pytest.mark.float32
@pytest.mark.parametrize("samples", [ODD, EVEN])
@pytest.mark.parametrize("family", ["sew", "sew-d"])
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_states_are_those_of_transformers_but_for_the_odd_last_frame(
    sew: Sew, encoders: dict[str, Path], tmp_path: Path, engine: str, family: str, samples: int
) -> None:
    file, sound = saved(tmp_path, samples)
    last, hidden = reference(encoders[family], sound)
    options = ("-m", encoders[family], "--engine", engine)
    states = embedded(sew, file, *options)
    assert states.dtype == np.float32
    assert states.shape == (len(last) // 2 * 2, 64)
    np.testing.assert_allclose(states, last[: len(states)], atol=1e-5)
    # what is left out is no state: transformers fills it up with zeros
    assert not last[len(states) :].any()
    pooled = embedded(sew, file, *options, "--pool", "mean")
    np.testing.assert_allclose(pooled, states.mean(axis=0), atol=1e-6)
    assert len(hidden) == 3
    for layer, expected in enumerate(hidden):
        found = embedded(sew, file, *options, "--layer", layer)
        assert found.shape == expected.shape == (len(states) // 2, 64)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(hidden[1] - hidden[2]).max() > 0.1


@pytest.mark.float32
@pytest.mark.parametrize("model", ["ctc", "ctc_d", "classifier", "classifier_d"])
def test_any_head_will_do(sew: Sew, model: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    file, sound = saved(tmp_path, EVEN)
    directory = request.getfixturevalue(model)
    last, _ = reference(directory, sound)
    np.testing.assert_allclose(embedded(sew, file, "-m", directory), last, atol=1e-5)


def test_nano_is_the_default_and_a_model_of_the_environment_comes_first(
    sew: Sew, ctc_d: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = saved(tmp_path, EVEN)
    by_default = sew("embed", file, "-f", "json").records[0]
    assert by_default["model"]["id"] == "nano"
    monkeypatch.setenv("SEW_MODEL", str(ctc_d))
    assert sew("embed", file, "-f", "json").records[0]["shape"] == [50, 64]


@pytest.mark.transformers
def test_the_fast_engine_is_the_default_where_it_covers_the_model(
    sew: Sew, encoders: dict[str, Path], models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEW_ENGINE", raising=False)
    file, _ = saved(tmp_path, EVEN)
    layer_norm = tiny_model(models / "encoder-layer", "sew", "features", feat_extract_norm="layer")
    for directory, engine in ((encoders["sew"], "fast"), (layer_norm, "reference")):
        [record] = sew("embed", file, "-m", directory, "-f", "json").records
        assert record["settings"]["engine"] == engine


@pytest.mark.float32
def test_batches_of_files_give_what_each_gives_alone(
    sew: Sew, encoders: dict[str, Path], audio: Path, tmp_path: Path
) -> None:
    options = ("-m", encoders["sew"], "-f", "npy")
    assert sew("embed", audio, "-o", tmp_path, "--batch-seconds", 30, *options).code == 0
    for name in ("a.wav", "b.wav", "sub/c.d.flac"):
        alone = embedded(sew, audio / name, *options)
        together = np.load((tmp_path / name).with_suffix(".npy"))
        np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("layer", [(), ("--layer", 1)])
def test_chunks_abut_and_keep_every_state(
    sew: Sew, encoders: dict[str, Path], tmp_path: Path, layer: tuple[Any, ...]
) -> None:
    """With as much context as the whole has, a chunk in the middle of a long file gives nearly its states."""
    file = write_babble(tmp_path / "long.wav", 12.0)
    whole = embedded(sew, file, "-m", encoders["sew"], *layer)
    chunked = embedded(sew, file, "-m", encoders["sew"], "--chunk", 4, "--stride", 1, *layer)
    assert chunked.shape == whole.shape
    one = chunked - chunked.mean(axis=0)
    other = whole - whole.mean(axis=0)
    likeness = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    shifted = (one[:-1] * other[1:]).sum(axis=1) / np.linalg.norm(one[:-1], axis=1)
    assert np.median(likeness) > 0.9
    assert np.median(likeness) > np.median(shifted / np.linalg.norm(other[1:], axis=1)) + 0.1


def test_every_format_holds_the_same_states_and_metadata(
    sew: Sew, encoders: dict[str, Path], audio: Path, tmp_path: Path
) -> None:
    formats = [argument for name in ("npy", "npz", "safetensors", "json") for argument in ("-f", name)]
    source, out = audio / "a.wav", tmp_path / "out"
    result = sew("embed", source, "-m", encoders["sew"], "-o", out, "--layer", 2, *formats)
    assert (result.code, result.out, result.err) == (0, b"", "")
    states = np.load(out / "a.npy")
    metadata = json.loads((out / "a.json").read_text())
    assert states.shape == tuple(metadata["shape"]) == (74, 64)
    assert (metadata["layer"], metadata["pool"], metadata["frame_seconds"]) == (2, "none", 0.04)
    assert (metadata["path"], metadata["duration"]) == (str(source), 3.0)
    with np.load(out / "a.npz") as archive:
        assert np.array_equal(archive["states"], states)
        assert json.loads(str(archive["metadata"])) == metadata
    with safe_open(out / "a.safetensors", framework="numpy") as tensors:
        assert np.array_equal(tensors.get_tensor("states"), states)
        texts = tensors.metadata()
    assert texts["path"] == str(source)
    assert json.loads(texts["shape"]) == [74, 64]
    assert json.loads(texts["frame_seconds"]) == 0.04


@pytest.mark.parametrize("extension", [".npy", ".npz", ".safetensors"])
def test_a_stack_has_a_row_for_each_input_that_could_be_read(
    sew: Sew, encoders: dict[str, Path], audio: Path, tmp_path: Path, extension: str
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF no audio")
    stack = tmp_path / f"all{extension}"
    options = ("-m", encoders["sew"], "--pool", "mean")
    result = sew("embed", audio / "a.wav", bad, audio / "b.wav", *options, "--stack", stack)
    assert (result.code, result.out) == (3, b"")
    assert [str(bad) in message for message in result.messages] == [True]
    if extension == ".npy":
        states, metadata = np.load(stack), json.loads(stack.with_suffix(".json").read_text())
    elif extension == ".npz":
        with np.load(stack) as archive:
            states, metadata = archive["states"], json.loads(str(archive["metadata"]))
    else:
        with safe_open(stack, framework="numpy") as tensors:
            states = tensors.get_tensor("states")
            metadata = {key: json.loads(tensors.metadata()[key]) for key in ("inputs", "shape")}
    rows = [embedded(sew, audio / name, *options) for name in ("a.wav", "b.wav")]
    assert np.array_equal(states, np.stack(rows))
    assert metadata["shape"] == [2, 64]
    assert [row["path"] for row in metadata["inputs"]] == [str(audio / "a.wav"), str(audio / "b.wav")]
    again = sew("embed", audio / "a.wav", *options, "--stack", stack)
    assert (again.code, "exists" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", 3), "layer 3: the model has the hidden states 0 to 2"),
        pytest.param(
            ("--layer", 3, "--engine", "reference"),
            "layer 3: the model has the hidden states 0 to 2",
            marks=pytest.mark.transformers,
        ),
        (("--attentions", "-f", "npz", "--engine", "fast"), "--attentions come from transformers"),
        (("--stack", "x.npy"), "--stack needs states of one length"),
        (("--stack", "x.txt", "--pool", "mean"), "--stack x.txt: no such format"),
        (("--stack", "none/x.npy", "--pool", "mean"), "none/x.npy: cannot be written to"),
        (("--stack", "x.npy", "--pool", "mean", "-o", "y"), "--stack and -o exclude each other"),
        (("--stack", "x.npy", "--pool", "mean", "-f", "npz"), "the extension of --stack is its format"),
        (("-f", "srt"), "format 'srt'"),
        (("-f", "npy", "-f", "json"), "several formats need a directory"),
    ],
)
def test_what_cannot_work_is_wrong_usage(
    sew: Sew,
    encoders: dict[str, Path],
    audio: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[Any, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = sew("embed", audio / "a.wav", "-m", encoders["sew"], *arguments)
    assert (result.code, result.out) == (2, b"")
    assert message in result.err
    assert not list(tmp_path.iterdir())


def test_several_arrays_do_not_go_to_standard_output(
    sew: Sew, encoders: dict[str, Path], audio: Path
) -> None:
    result = sew("embed", audio / "a.wav", audio / "b.wav", "-m", encoders["sew"])
    assert (result.code, result.out) == (2, b"")


def test_an_encoder_that_lacks_weights_is_refused(sew: Sew, models: Path, audio: Path) -> None:
    """transformers would fill them in at random."""
    directory = tiny_model(models / "one-layer", "sew", "features", num_hidden_layers=1)
    change_json(directory / "config.json", num_hidden_layers=2)
    result = sew("embed", audio / "a.wav", "-m", directory)
    assert result.code == 5
    assert "lacks weights" in result.err


@pytest.mark.parametrize("head", ["features", "ctc"])
def test_an_encoder_with_more_layers_than_its_configuration_is_refused(
    sew: Sew, models: Path, audio: Path, head: str
) -> None:
    directory = tiny_model(models / f"shortened-{head}", "sew", head)
    change_json(directory / "config.json", num_hidden_layers=1)
    result = sew("embed", audio / "a.wav", "-m", directory)
    assert result.code == 5
    assert "has no place for" in result.err


def test_parts_keep_their_place_in_the_metadata(sew: Sew, encoders: dict[str, Path], audio: Path) -> None:
    part = ("--start", 1, "--end", 2.5, "--channel", 0)
    [record] = sew("embed", audio / "a.wav", "-m", encoders["sew"], "-f", "json", *part).records
    assert (record["offset"], record["channel"], record["duration"]) == (1.0, 0, 1.5)
    assert record["shape"] == [74, 64]

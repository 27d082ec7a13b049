"""Models that are not there, damaged or of the wrong kind: exit 5 before any input."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Sew
from helpers import change_json, tiny_model

import sewcli
from sewcli.training.vocabulary import ENGLISH, write_vocabulary

Damage = Callable[[Path], object]


def test_model_that_is_not_there_is_exit_5(sew: Sew, audio: Path, tmp_path: Path) -> None:
    for given, part in (
        (("-m", "nanno"), "did you mean nano"),
        (("-m", tmp_path / "absent"), str(tmp_path / "absent")),
        (("-m", tmp_path), "config.json"),
        (("-m", audio / "b.wav"), "not a model directory"),
        (("-m", "asapp/sew-tiny-100k-ft-ls100h", "--offline"), "asapp/sew-tiny-100k-ft-ls100h"),
        (("-m", "sew-tiny", "--offline"), "sew-tiny"),
        (("-m", "somebody/something", "--offline"), "run once without --offline"),
    ):
        result = sew("transcribe", audio / "b.wav", *given)
        assert (result.code, result.out) == (5, b""), given
        [message] = result.messages
        assert part in message
    # for all that the process loads later: both libraries read these at their import
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"


def cut_weights(model: Path) -> None:
    file = model / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without_tensor(model: Path, part: str) -> None:
    from safetensors.numpy import load_file, save_file

    file = model / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(file).items() if part not in name}
    save_file(kept, file, metadata={"format": "pt"})


def big_vocabulary(model: Path) -> None:
    write_vocabulary(model, [*ENGLISH, "Ä"])


def hide_pickle(model: Path) -> None:
    """Weights that are a pickle, which is refused, behind the index of others."""
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    (model / "model.safetensors.index.json").write_text('{"weight_map": {}}')


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no vocabulary": (lambda model: (model / "vocab.json").unlink(), "vocab.json"),
    "vocabulary beyond the logits": (big_vocabulary, "33 tokens"),
    "vocabulary without blank": (
        lambda model: change_json(model / "tokenizer_config.json", pad_token="_"),
        "'_'",
    ),
    "vocabulary that is no JSON": (lambda model: (model / "vocab.json").write_text("{"), "vocab.json"),
    "weights cut in half": (cut_weights, "damaged"),
    "weights of garbage": (
        lambda model: (model / "model.safetensors").write_bytes(b"garbage" * 99),
        "damaged",
    ),
    "no weights": (lambda model: (model / "model.safetensors").unlink(), "no weights"),
    "a layer is missing": (lambda model: without_tensor(model, "layers.1.attention"), "lacks weights"),
    "weights of another size": (lambda model: change_json(model / "config.json", hidden_size=128), "damaged"),
    "heads that do not divide": (
        lambda model: change_json(model / "config.json", num_attention_heads=5),
        "damaged",
    ),
    "adapter": (lambda model: change_json(model / "config.json", add_adapter=True), "add_adapter"),
    "wav2vec2": (lambda model: change_json(model / "config.json", model_type="wav2vec2"), "'wav2vec2'"),
    "a list of families": (lambda model: change_json(model / "config.json", model_type=["sew"]), "['sew']"),
    "more layers than any machine holds": (
        lambda model: change_json(model / "config.json", num_hidden_layers=10**9),
        "1000000000 layers",
    ),
    "layers that are no number": (
        lambda model: change_json(model / "config.json", num_hidden_layers=1e5),
        "100000.0 layers",
    ),
    "sizes without an end": (
        lambda model: change_json(model / "config.json", hidden_size=float("inf")),
        "damaged",
    ),
    "an index that names no weights": (hide_pickle, "names no weights"),
    "half a surrogate pair for a token": (
        lambda model: change_json(model / "vocab.json", **{"\ud800": 5}),
        "surrogates not allowed",
    ),
    "chunks shorter than their strides": (
        lambda model: (model / "sew.json").write_text('{"chunk": 1, "stride": 5}'),
        "sew.json",
    ),
    "other frames": (lambda model: change_json(model / "config.json", squeeze_factor=4), "squeezed by 4"),
    "configuration is no JSON": (lambda model: (model / "config.json").write_text("nonsense"), "config.json"),
    "configuration without an end": (
        lambda model: (model / "config.json").write_text('{"a":' * 100_000),
        "config.json",
    ),
    "configuration is a list": (lambda model: (model / "config.json").write_text("[]"), "config.json"),
    "other sampling rate": (
        lambda model: change_json(model / "preprocessor_config.json", sampling_rate=8000),
        "8000",
    ),
    "other sampling rate in the file of the processor": (
        lambda model: (model / "processor_config.json").write_text(
            '{"feature_extractor": {"sampling_rate": 8000}}'
        ),
        "8000",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_unusable_model_directory_is_exit_5(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, what: str
) -> None:
    damage, part = DAMAGES[what]
    model = shutil.copytree(ctc, tmp_path / "model")
    damage(model)
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, result.out) == (5, b""), result.err
    [message] = result.messages
    assert str(model) in message
    assert part in message


def test_a_list_of_labels_is_not_needed_and_architectures_may_be_anything(
    sew: Sew, classifier: Path, audio: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(classifier, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (model / "config.json").write_text(json.dumps({**config, "architectures": 5, "num_labels": "4"}))
    refused = sew("classify", audio / "b.wav", "-m", model)
    assert refused.code == 5
    assert "unexpected" not in refused.err
    change_json(model / "config.json", num_labels=4)
    result = sew("classify", audio / "b.wav", "-m", model, "-f", "json")
    assert result.code == 0
    assert result.records[0]["labels"][0]["label"].startswith("LABEL_")
    change_json(model / "config.json", architectures={"a": 1})
    with pytest.raises(sewcli.ModelError, match="is a classification model, not a ctc model"):
        sewcli.load(model)


def test_tokens_and_labels_stay_on_their_lines(
    sew: Sew, ctc: Path, classifier: Path, audio: Path, tmp_path: Path
) -> None:
    """A line of output holds one result, whatever a model calls its tokens and labels."""
    letters = shutil.copytree(ctc, tmp_path / "letters")
    ids = json.loads((letters / "vocab.json").read_text())
    breaking = dict(zip("ETAOINS", "\n\r\t\x1b\x85\u2028\u2029", strict=True))
    renamed = {breaking.get(token, token): number for token, number in ids.items()}
    (letters / "vocab.json").write_text(json.dumps(renamed))
    written = sew("transcribe", audio, "-m", letters)
    assert written.code == 0
    lines = written.out.decode().split("\n")[:-1]
    assert len(lines) == 3
    assert all(line.count("\t") == 1 for line in lines)
    assert not set(written.out.decode()) & set("\r\x1b\x85\u2028\u2029")
    words = shutil.copytree(classifier, tmp_path / "words")
    labels = dict(enumerate(["yes\n/etc/x\tno\t1.0", "\x1b[31mno", "a", "b"]))
    change_json(words / "config.json", id2label=labels)
    written = sew("classify", audio / "b.wav", "-m", words, "--top", "4")
    assert sorted(line.split("\t")[0] for line in written.lines) == [" [31mno", "a", "b", "yes /etc/x no 1.0"]


def test_encoder_without_a_head_is_exit_5_for_both_commands(sew: Sew, audio: Path, tmp_path: Path) -> None:
    model = tiny_model(tmp_path, "sew", "features")
    write_vocabulary(model, ENGLISH)
    for command in ("transcribe", "classify"):
        result = sew(command, audio / "b.wav", "-m", model)
        assert (result.code, result.out) == (5, b"")
        [message] = result.messages
        assert str(model) in message
        assert "without a head" in message


def test_model_of_the_other_task_is_exit_5_and_names_the_right_command(
    sew: Sew, ctc: Path, classifier: Path, audio: Path
) -> None:
    for command, model, right in (
        ("transcribe", classifier, "sew classify"),
        ("classify", ctc, "sew transcribe"),
    ):
        result = sew(command, audio / "b.wav", "-m", model)
        assert (result.code, result.out) == (5, b"")
        [message] = result.messages
        assert str(model) in message
        assert right in message


def test_regression_model_is_exit_5(sew: Sew, audio: Path, tmp_path: Path) -> None:
    model = tiny_model(tmp_path, "sew", "classification", id2label={0: "score"}, label2id={"score": 0})
    result = sew("classify", audio / "b.wav", "-m", model)
    assert result.code == 5
    [message] = result.messages
    assert "num_labels 1" in message


@pytest.mark.parametrize(
    "change",
    [{"hidden_act": "nonsense"}, {"hidden_size": "wide"}, {"conv_kernel": 3}, {"conv_dim": [16]}],
    ids=str,
)
def test_configuration_that_makes_no_model_is_exit_5(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    change_json(model / "config.json", **change)
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, result.out) == (5, b""), result.err
    assert str(model) in result.err


def test_weights_the_configuration_has_no_place_for_are_exit_5(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    change_json(model / "config.json", num_hidden_layers=1)
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, result.out) == (5, b"")
    assert str(model) in result.err


def test_weights_of_nan_are_exit_5_and_not_an_empty_transcript(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    model = shutil.copytree(ctc, tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    weights["lm_head.weight"][:] = np.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    assert sew("transcribe", audio / "b.wav", "-m", model).code == 5


@pytest.mark.parametrize("name", ["vocab.json", "tokenizer_config.json"])
def test_tokenizer_files_with_values_of_a_wrong_type_are_exit_5(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, name: str
) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    change_json(
        model / name, **{"vocab.json": {"A": "seven"}, "tokenizer_config.json": {"pad_token": {}}}[name]
    )
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, result.out) == (5, b""), result.err


def test_beam_search_without_pyctcdecode_is_wrong_usage_before_a_model_is_looked_for(
    sew: Sew, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pyctcdecode" else found(name, *rest)
    )
    result = sew("transcribe", audio / "b.wav", "-m", "no-such-model", "--decoder", "beam")
    assert result.code == 2
    assert "pyctcdecode" in result.err

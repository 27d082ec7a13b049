"""The fast engine around its forward pass: what it reads, refuses and leaves to transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import babble, change_json, tiny_model
from safetensors.torch import load_file, save_file

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.engine.operators import find_operators
from sewcli.acoustic.load import load_convolutions, load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.errors import ModelError, UsageError
from sewcli.hub.fetching import LocalModel, fetch
from sewcli.registry import ModelSpec, resolve

EXAMPLES = Path(__file__).parent.parent / "examples"
FAMILIES = ["sew", "sew-d"]


@pytest.fixture
def directory(tmp_path):
    return tiny_model(tmp_path / "model", "sew", "ctc")


def load(directory, task="ctc", **options):
    return load_model(LocalModel(ModelSpec(path=directory), directory, None), task, **options)


def logits(directory, task="ctc", **options):
    samples = babble(1.5)
    return load(directory, task, **options)([Segment(samples, wave_statistics(samples))])[0]


def same(got, expected):
    """To the bit, wherever in a file or in memory the weights lie."""
    np.testing.assert_array_equal(got, expected)


def rewrite(directory, change):
    """Write the weights again, changed."""
    file = directory / "model.safetensors"
    save_file(change(load_file(file)), file, {"format": "pt"})


class TestChoice:
    def test_auto_is_fast_where_that_covers_the_model(self, directory, caplog):
        assert load(directory).engine == "fast"
        assert load(directory, engine="reference").engine == "reference"
        assert not caplog.messages

    @pytest.mark.parametrize(
        ("family", "task", "config", "reason"),
        [
            ("sew", "ctc", {"feat_extract_norm": "layer"}, "feat_extract_norm 'layer'"),
            ("sew", "classification", {"use_weighted_layer_sum": True}, "use_weighted_layer_sum"),
            ("sew", "ctc", {"hidden_act": "relu"}, "hidden_act 'relu'"),
            ("sew-d", "ctc", {"feat_extract_activation": "gelu_new"}, "feat_extract_activation 'gelu_new'"),
            ("sew-d", "ctc", {"relative_attention": False}, "relative_attention False"),
            ("sew-d", "ctc", {"share_att_key": False}, "share_att_key False"),
            ("sew-d", "ctc", {"pos_att_type": ["c2p"]}, "pos_att_type ['c2p']"),
        ],
    )
    def test_what_it_does_not_cover_runs_on_transformers_and_says_so(
        self, tmp_path, caplog, family, task, config, reason
    ):
        directory = tiny_model(tmp_path, family, task, **config)
        with caplog.at_level("INFO", "sewcli"):
            model = load(directory, task)
        assert model.engine == "reference"
        assert any(reason in message for message in caplog.messages)
        with pytest.raises(ModelError, match="--engine reference") as error:
            load(directory, task, engine="fast")
        assert reason in str(error.value)

    @pytest.mark.defaults
    def test_the_command_says_so_on_standard_error(self, sew, tmp_path):
        directory = tiny_model(tmp_path / "model", "sew", "ctc", hidden_act="relu")
        clip = EXAMPLES / "speech/go-forward.wav"
        auto = sew("transcribe", clip, "-m", directory, "-f", "json")
        assert auto.code == 0
        assert auto.records[0]["settings"]["engine"] == "reference"
        assert "hidden_act 'relu'" in auto.err
        assert sew("transcribe", clip, "-m", directory, "-q").err == ""
        refused = sew("transcribe", clip, "-m", directory, "--engine", "fast")
        assert (refused.code, len(refused.messages)) == (5, 1)

    @pytest.mark.parametrize("native", [True, False])
    def test_a_processor_that_emulates_bfloat16_is_told(self, directory, caplog, monkeypatch, native):
        monkeypatch.setattr("sewcli.acoustic.load.multiplies_bfloat16", lambda: native)
        for dtype in ("float32", "bfloat16"):
            load_model(LocalModel(ModelSpec(path=directory), directory, None), "ctc", dtype=dtype)
        told = [message for message in caplog.messages if "emulates it" in message]
        assert len(told) == (not native)

    def test_an_unknown_engine_is_wrong_usage(self, directory):
        with pytest.raises(UsageError, match="quick"):
            load(directory, engine="quick")


class TestWeights:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_the_old_names_of_the_weight_norm(self, family, tmp_path):
        directory = tiny_model(tmp_path, family, "ctc")
        before = logits(directory)
        old = {
            "parametrizations.weight.original0": "weight_g",
            "parametrizations.weight.original1": "weight_v",
        }

        def rename(tensors):
            renamed = {}
            for name, tensor in tensors.items():
                for new, former in old.items():
                    name = name.replace(new, former)  # noqa: PLW2901
                renamed[name] = tensor
            assert set(renamed) != set(tensors)
            return renamed

        rewrite(directory, rename)
        same(logits(directory), before)

    def test_a_pickle_of_tensors(self, directory):
        before = logits(directory)
        file = directory / "model.safetensors"
        torch.save(load_file(file), directory / "pytorch_model.bin")
        file.unlink()
        same(logits(directory, engine="fast"), before)

    def test_several_files(self, directory):
        before = logits(directory)
        file = directory / "model.safetensors"
        tensors = sorted(load_file(file).items())
        file.unlink()
        files = {}
        for part, chosen in enumerate([tensors[::2], tensors[1::2]]):
            name = f"model-0000{part + 1}-of-00002.safetensors"
            save_file(dict(chosen), directory / name)
            files |= {key: name for key, _ in chosen}
        (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
        same(logits(directory, engine="fast"), before)

    def test_other_weights_beside_those_of_the_model(self, directory):
        """transformers reads model.safetensors alone."""
        before = logits(directory)
        other = {name: tensor + 1 for name, tensor in load_file(directory / "model.safetensors").items()}
        save_file(other, directory / "model_ema.safetensors")
        same(logits(directory, engine="fast"), before)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_base_model_saved_alone_and_inside_another(self, family, tmp_path):
        directory = tiny_model(tmp_path / "ctc", family, "ctc")
        hidden = logits(directory, "features")
        assert hidden.shape == (74, 64)
        prefix = {"sew": "sew.", "sew-d": "sew_d."}[family]
        rewrite(
            directory,
            lambda tensors: {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            },
        )
        same(logits(directory, "features", engine="fast"), hidden)

    def test_weights_in_half_precision_run_in_float32(self, tmp_path):
        directory = tiny_model(tmp_path, "sew", "ctc", dtype="float16")
        fast, slow = logits(directory), logits(directory, engine="reference", dtype="float32")
        np.testing.assert_allclose(fast, slow, atol=1e-5 * np.abs(slow).max())

    def test_a_missing_tensor_is_named(self, directory):
        name = "sew.encoder.layers.1.attention.out_proj.weight"
        rewrite(directory, lambda tensors: {key: t for key, t in tensors.items() if key != name})
        with pytest.raises(ModelError, match=f"lacks weights of SEWForCTC: {name}"):
            load(directory)

    def test_the_convolutions_alone_ask_for_theirs_alone(self, directory):
        name = "sew.feature_extractor.conv_layers.2.conv.weight"
        rewrite(
            directory, lambda tensors: {key: t for key, t in tensors.items() if "layers.1.att" not in key}
        )
        assert load_convolutions(directory, torch.float32) is not None
        rewrite(directory, lambda tensors: {key: t for key, t in tensors.items() if key != name})
        with pytest.raises(ModelError, match=f"lacks weights of SEWModel: {name}"):
            load_convolutions(directory, torch.float32)

    def test_a_tensor_the_configuration_has_no_place_for_is_named(self, directory):
        change_json(directory / "config.json", num_hidden_layers=1)
        with pytest.raises(ModelError, match=r"no place for sew.encoder.layers.1"):
            load(directory)

    def test_a_tensor_of_another_shape_is_named(self, directory):
        change_json(directory / "config.json", intermediate_size=96)
        with pytest.raises(ModelError, match=r"intermediate_dense.weight has the shape \[128, 64\]"):
            load(directory)

    @pytest.mark.parametrize(
        "change",
        [{"num_attention_heads": 7}, {"num_attention_heads": 0}, {"conv_dim": [8]}, {"hidden_size": "x"}],
    )
    def test_a_configuration_that_makes_no_sense(self, directory, change):
        change_json(directory / "config.json", **change)
        with pytest.raises(ModelError, match=r"config.json is damaged"):
            load(directory)


@pytest.mark.float32
@pytest.mark.parametrize(
    ("command", "folder"), [("transcribe", EXAMPLES / "speech"), ("classify", EXAMPLES / "keywords")]
)
def test_both_engines_say_the_same_of_the_examples(sew, command, folder):
    fast, slow = (sew(command, folder, "--engine", engine) for engine in ("fast", "reference"))
    assert fast.code == 0
    assert len(fast.lines) >= 4
    assert fast.out == slow.out


def test_the_text_does_not_depend_on_the_batch(sew, tmp_path):
    alone, together = (
        sew("transcribe", EXAMPLES / "speech", "--chunk", "3", "--batch-seconds", seconds)
        for seconds in ("0", "60")
    )
    assert alone.code == together.code == 0
    assert len(alone.lines) == len(list((EXAMPLES / "speech").glob("*.[ow]*")))
    assert alone.out == together.out


SCRIPT = """
import json, sys
from sewcli.cli.app import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "clip"), [("transcribe", "speech/go-forward.wav"), ("classify", "keywords/seven.opus")]
)
def test_the_fast_engine_imports_neither_transformers_nor_librosa(command, clip):
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, command, "-f", "json", str(EXAMPLES / clip)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(process.stdout)["path"].endswith(clip)
    loaded = {name.split(".")[0] for name in json.loads(process.stderr.splitlines()[-1])}
    assert "torch" in loaded
    assert loaded.isdisjoint({"transformers", "librosa", "huggingface_hub", "pyctcdecode", "scipy"})


def test_every_row_of_an_uneven_batch_is_that_of_the_row_alone():
    model = load_model(fetch(resolve("nano")), "ctc", engine="fast")
    rows = [babble(seconds, seed) for seed, seconds in enumerate((0.045, 3.0, 0.5, 1.7))]
    segments = [Segment(row, wave_statistics(row)) for row in rows]
    for together, segment in zip(model(segments), segments, strict=True):
        np.testing.assert_allclose(together, model([segment])[0], atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_features_of_a_row_are_to_the_bit_those_of_the_row_alone(dtype):
    """In bfloat16 the last digit of the first layer would grow into another letter."""
    model = load_model(fetch(resolve("nano")), "ctc", engine="fast", device="cpu", dtype=dtype)
    if not find_operators(torch.device("cpu"), getattr(torch, dtype)).by_matrix:
        pytest.skip("without the operators of oneDNN rows run together")
    rows = [babble(seconds, seed) for seed, seconds in enumerate((0.045, 3.0, 0.5, 1.7))]
    extractor = model._encoder._extractor

    def features(chosen):
        batch = make_batch(chosen, [wave_statistics(row) for row in chosen], normalize=True)
        with torch.inference_mode():
            return [row[:count] for row, count in zip(extractor(batch), batch.frame_counts, strict=True)]

    for row, together in zip(rows, features(rows), strict=True):
        assert torch.equal(features([row])[0], together)

"""A trained model as a directory in the Hugging Face layout, small and complete."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from sewcli.acoustic.forward import Model
from sewcli.training.vocabulary import ENGLISH, write_vocabulary

_PREPROCESSOR = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "sampling_rate": 16000,
    "padding_value": 0.0,
    "padding_side": "right",
    "do_normalize": True,
    "return_attention_mask": False,
}


def export(model: Model, directory: Path) -> None:
    """Write config.json, model.safetensors and the files that belong to the model's task.

    The weights are float16 to be small; the configuration asks for float32, so that
    `from_pretrained` computes in float32 without being told.
    """
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.to(torch.float16).contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "model.safetensors").chmod(0o644)  # save_file leaves it to its owner alone
    config = model.config.to_diff_dict()
    config["dtype"] = "float32"
    config["architectures"] = [type(model).__name__]
    _write_json(directory / "config.json", config)
    _write_json(directory / "preprocessor_config.json", _PREPROCESSOR)
    if type(model).__name__.endswith("ForCTC"):
        write_vocabulary(directory, ENGLISH)


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")

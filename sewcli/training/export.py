"""A trained model as a directory in the Hugging Face layout, small and complete."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from sewcli.acoustic.forward import Model

_PREPROCESSOR = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "sampling_rate": 16000,
    "padding_value": 0.0,
    "padding_side": "right",
    "do_normalize": True,
    "return_attention_mask": False,
}


def export(model: Model, directory: Path, part_mib: int = 1024) -> None:
    """Write config.json, the weights and preprocessor_config.json.

    The weights are float16 to be small; the configuration asks for float32, so that
    `from_pretrained` computes in float32 without being told. More than `part_mib` MiB become several
    safetensors files with an index.
    """
    from huggingface_hub import save_torch_state_dict

    directory.mkdir(parents=True, exist_ok=True)
    for stale in directory.glob("model*.safetensors*"):
        stale.unlink()
    weights = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_torch_state_dict(weights, directory, max_shard_size=part_mib << 20, metadata={"format": "pt"})
    for file in directory.glob("model*.safetensors*"):
        file.chmod(0o644)  # it is left to its owner alone
    config = model.config.to_diff_dict()
    config["dtype"] = "float32"
    config["architectures"] = [type(model).__name__]
    _write_json(directory / "config.json", config)
    _write_json(directory / "preprocessor_config.json", _PREPROCESSOR)


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")

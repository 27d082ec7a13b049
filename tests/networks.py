"""Random networks at the real architecture, and what transformers makes of one utterance."""

import json

import numpy as np
import torch
import transformers

from sewcli.acoustic.model import Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.hub.fetching import LocalModel
from sewcli.registry import ModelSpec

SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "conv_dim": (16, *(24,) * 4, *(32,) * 8),
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 24,
    "num_labels": 5,
}
#: 720 is the least; 16000 gives 49 frames, 16080 and 16400 even and odd neighbours of a boundary
LENGTHS = [720, 1039, 1040, 9_999, 16_000, 16_080, 16_400, 33_333]


def random_model(family, task, **config):
    torch.manual_seed(7)
    config_class = getattr(transformers, f"{family}Config")
    model = getattr(transformers, family + task)(config_class(**{**SIZES, **config})).eval()
    for parameter in model.parameters():  # biases and norms start at 0 and 1, where errors would hide
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def utterance(samples, seed=0):
    """Noise whose level moves and a constant offset, so that statistics matter."""
    rng = np.random.default_rng([seed, samples])
    level = 0.05 + 0.2 * np.abs(np.sin(np.arange(samples) / 3000.0))
    return (rng.standard_normal(samples) * level + 0.03).astype(np.float32)


@torch.no_grad()
def reference(model, samples):
    """The library's own path: feature extractor, then the model on one utterance alone."""
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)
    values = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_values
    output = model(values)
    return (output.logits if "logits" in output else output.last_hidden_state)[0].numpy()


def saved(model, directory):
    """The model as a directory of sew."""
    model.save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    return LocalModel(ModelSpec(path=directory), directory, None)


def outputs(network, rows):
    return network([Segment(row, wave_statistics(row)) for row in rows])


def relative_error(got, expected):
    assert got.shape == expected.shape
    return np.abs(got - expected).max() / np.abs(expected).max()

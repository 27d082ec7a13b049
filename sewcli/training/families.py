"""Starting a SEW-D model from a SEW model of the same sizes.

Both families share the convolutions, the squeezing and the layers but for their attention: SEW-D has
no position-free layer norm before the first layer, divides scores by sqrt(3 d) instead of sqrt(d), since
they are a sum of three, and adds the relative positions. The weights that both have are taken over,
the queries times sqrt(3), and the relative positions begin with a small voice, so that the first step of
training is near to what SEW had learned.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sewcli.acoustic.engine.weights import read_tensors
from sewcli.acoustic.files import read_config
from sewcli.acoustic.forward import Model
from sewcli.errors import ModelError

#: gain of the layer norm over the relative embeddings at the start
POSITION_GAIN = 0.1
_LAYER = re.compile(r"sew\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_PARTS = {
    "attention.q_proj": "attention.self.query_proj",
    "attention.k_proj": "attention.self.key_proj",
    "attention.v_proj": "attention.self.value_proj",
    "attention.out_proj": "attention.output.dense",
    "layer_norm": "attention.output.LayerNorm",
    "feed_forward.intermediate_dense": "intermediate.dense",
    "feed_forward.output_dense": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}
#: of a configuration: the shape of the convolutions
CONVOLUTION_KEYS = (
    "conv_dim",
    "conv_kernel",
    "conv_stride",
    "conv_bias",
    "feat_extract_norm",
    "feat_extract_activation",
)
#: settings that both configurations have and that decide shapes
_SHARED = (
    *CONVOLUTION_KEYS,
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "squeeze_factor",
    "num_conv_pos_embeddings",
    "num_conv_pos_embedding_groups",
)


def sew_d_from_sew(model_class: Any, start: Path, settings: Mapping[str, Any]) -> Model:
    """A SEW-D model with all weights of a SEW model that both families have.

    Args:
        model_class: SEWDForCTC or SEWDForSequenceClassification.
        start: directory of the SEW model.
        settings: of the configuration, over those that decide the sizes of `start`.

    Raises:
        ModelError: sizes are set that `start` does not have.
    """
    import transformers

    before = read_config(start)
    sizes = {key: before[key] for key in _SHARED if key in before}
    model = model_class(transformers.SEWDConfig(**{**sizes, **settings}))
    source = getattr(transformers, model_class.__name__.replace("SEWD", "SEW", 1))
    if source is transformers.SEWForSequenceClassification and not read_tensors(start, {"classifier.weight"}):
        source = transformers.SEWModel
    weights = source.from_pretrained(start, dtype=torch.float32, local_files_only=True)
    prefix = "" if weights.base_model_prefix in dict(weights.named_children()) else "sew."
    own = model.state_dict()
    for name, tensor in weights.state_dict().items():
        target = _renamed(prefix + name)
        if target not in own:
            continue
        if own[target].shape != tensor.shape:
            if target.startswith("sew_d."):
                raise ModelError(
                    f"init: {start} does not fit the configuration: {name} is {tuple(tensor.shape)}",
                    hint="leave the sizes to the model it starts from",
                    code="wrong_family",
                )
            continue  # a head for another vocabulary
        own[target] = tensor * math.sqrt(3) if ".query_proj." in target else tensor
    model.load_state_dict(own)
    with torch.no_grad():
        model.sew_d.encoder.encoder.LayerNorm.weight.fill_(POSITION_GAIN)
    return model


def _renamed(name: str) -> str:
    """The name in SEWDForCTC of a parameter of SEWForCTC."""
    found = _LAYER.fullmatch(name)
    if found:
        layer, part, kind = found.groups()
        return f"sew_d.encoder.encoder.layer.{layer}.{_PARTS[part]}.{kind}"
    return re.sub(r"^sew\.", "sew_d.", name)

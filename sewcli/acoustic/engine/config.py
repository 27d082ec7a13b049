"""What the fast engine must know of a model, from its config.json, and what it does not cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sewcli.acoustic.checkpoint import PUBLISHED_KERNELS, PUBLISHED_STRIDES, Checkpoint
from sewcli.acoustic.files import damaged

#: what SEWConfig and SEWDConfig of transformers take where config.json does not say
_DEFAULTS: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "feat_extract_norm": "group",
    "feat_extract_activation": "gelu",
    "conv_dim": (64, 128, 128, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512),
    "conv_stride": PUBLISHED_STRIDES,
    "conv_kernel": PUBLISHED_KERNELS,
    "conv_bias": False,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "use_weighted_layer_sum": False,
    "classifier_proj_size": 256,
}
_FAMILY_DEFAULTS: dict[str, dict[str, Any]] = {
    "sew": {"hidden_act": "gelu", "layer_norm_eps": 1e-5},
    "sew-d": {
        "hidden_act": "gelu_python",
        "layer_norm_eps": 1e-7,
        "feature_layer_norm_eps": 1e-5,
        "max_position_embeddings": 512,
        "max_relative_positions": -1,
        "position_buckets": 256,
        "share_att_key": True,
        "relative_attention": True,
        "pos_att_type": ("p2c", "c2p"),
        "norm_rel_ebd": "layer_norm",
        "conv_kernel_size": 0,
    },
}
#: both are x / 2 (1 + erf(x / sqrt(2)))
_GELU = ("gelu", "gelu_python")


class NotCoveredError(Exception):
    """The fast engine cannot run such a model; the message says why."""


@dataclass(frozen=True)
class EngineConfig:
    """Sizes and constants of a network.

    Attributes:
        family: "sew" or "sew-d".
        hidden, layers, heads, intermediate: of the transformer.
        channels, kernels, strides: of the convolutions of the feature extractor.
        convolution_bias: whether these have a bias.
        position_kernel, position_groups: of the positional convolution.
        epsilon: of the layer norms of the transformer.
        feature_epsilon: of the layer norm after the feature extractor.
        columns: width of the logits of a CTC model.
        projection: width of the projector of a classifier.
        buckets: SEW-D; of relative positions, on each side; at or below 0 there are none.
        positions: SEW-D; distance from which on all relative positions are alike.
        norm_positions: SEW-D; whether the relative embeddings pass through a layer norm.
    """

    family: str
    hidden: int
    layers: int
    heads: int
    intermediate: int
    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    convolution_bias: bool
    position_kernel: int
    position_groups: int
    epsilon: float
    feature_epsilon: float
    columns: int
    projection: int
    buckets: int = 0
    positions: int = 0
    norm_positions: bool = False

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


def engine_config(checkpoint: Checkpoint) -> EngineConfig:
    """The configuration of a directory that `inspect` has passed.

    Raises:
        NotCoveredError: the engine has no code for such a model.
        ModelError: the values make no sense.
    """
    family = checkpoint.family
    values = {**_DEFAULTS, **_FAMILY_DEFAULTS[family], **checkpoint.config}
    try:
        _check_covered(family, values)
        return _read(family, values)
    except (TypeError, ValueError, OverflowError) as error:
        raise damaged(checkpoint.directory / "config.json", error) from error


def _check_covered(family: str, values: Mapping[str, Any]) -> None:
    if values["feat_extract_norm"] != "group":
        raise NotCoveredError(f"feat_extract_norm {values['feat_extract_norm']!r}")
    if values["use_weighted_layer_sum"]:
        raise NotCoveredError("use_weighted_layer_sum")
    for key in ("feat_extract_activation", "hidden_act"):
        if values[key] not in _GELU:
            raise NotCoveredError(f"{key} {values[key]!r}")
    if family == "sew":
        return
    for key in ("relative_attention", "share_att_key"):
        if not values[key]:
            raise NotCoveredError(f"{key} {values[key]!r}")
    kinds = values["pos_att_type"] or ()
    if not ("c2p" in kinds and "p2c" in kinds):
        raise NotCoveredError(f"pos_att_type {values['pos_att_type']!r}")
    if values["norm_rel_ebd"] not in ("layer_norm", "none"):
        raise NotCoveredError(f"norm_rel_ebd {values['norm_rel_ebd']!r}")
    if values["conv_kernel_size"]:
        raise NotCoveredError("conv_kernel_size")


def _read(family: str, values: Mapping[str, Any]) -> EngineConfig:
    config = EngineConfig(
        family=family,
        hidden=int(values["hidden_size"]),
        layers=int(values["num_hidden_layers"]),
        heads=int(values["num_attention_heads"]),
        intermediate=int(values["intermediate_size"]),
        channels=tuple(map(int, values["conv_dim"])),
        kernels=tuple(map(int, values["conv_kernel"])),
        strides=tuple(map(int, values["conv_stride"])),
        convolution_bias=bool(values["conv_bias"]),
        position_kernel=int(values["num_conv_pos_embeddings"]),
        position_groups=int(values["num_conv_pos_embedding_groups"]),
        epsilon=float(values["layer_norm_eps"]),
        # SEWConfig has no such key, and passes over one that is there
        feature_epsilon=float(values["feature_layer_norm_eps" if family == "sew-d" else "layer_norm_eps"]),
        columns=int(values["vocab_size"]),
        projection=int(values["classifier_proj_size"]),
    )
    if len(config.channels) != len(config.kernels):
        raise ValueError("conv_dim and conv_kernel differ in length")
    if (
        min(config.heads, config.position_groups) < 1
        or config.hidden % config.heads
        or config.hidden % config.position_groups
    ):
        raise ValueError(
            f"hidden_size {config.hidden} is no multiple of num_attention_heads {config.heads} "
            f"or num_conv_pos_embedding_groups {config.position_groups}"
        )
    if family == "sew":
        return config
    positions = int(values["max_relative_positions"])
    return replace(
        config,
        buckets=int(values["position_buckets"]),
        positions=positions if positions >= 1 else int(values["max_position_embeddings"]),
        norm_positions=values["norm_rel_ebd"] == "layer_norm",
    )

"""The forward pass of a padded batch through the transformers modules, exact for every row.

transformers runs the modules of a SEW model on one rectangle of samples: the group norm of the
first convolution takes its statistics over the padding too, and an odd frame at the end of a
shorter row joins the attention keys. These functions call the same modules in the same order with
three corrections, so that a row gives what it gives alone and unpadded:

* the group norm uses the moments of the row's own utterance (see `statistics`);
* frames past a row's end are zero where the encoder begins, as its own zero padding is;
* the attention keys of a row are its floor(F / 2) states.

They are differentiable: training and inference share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from sewcli.acoustic.batch import Batch, frame_mask, norm_of_moments

#: a transformers model; its modules carry no types
Model = Any

#: added to the scores of masked keys: exp() of it is 0, and no 16-bit type rounds it to -inf, of
#: which whole blocks give NaN in the fused attention of the CPU
_MASKED = -3e4


def base_model(model: Model) -> Model:
    """The SEWModel or SEWDModel inside a model with a head, or the model itself."""
    return getattr(model, model.base_model_prefix, model)


def first_convolution(layer: Model, batch: Batch) -> torch.Tensor:
    """Conv layer 0 with its group norm: shape (B, channels, n)."""
    hidden = layer.conv(batch.samples[:, None])
    scale, shift = _group_norm(layer, batch, hidden.dtype)
    hidden = torch.addcmul(shift[..., None], hidden, scale[..., None])
    return layer.activation(hidden)  # type: ignore[no-any-return]


def _group_norm(layer: Model, batch: Batch, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The group norm of conv layer 0, see `norm_of_moments`."""
    conv, norm = layer.conv, layer.layer_norm
    # never in 16 bits: a variance rounded there can even come out negative
    with torch.autocast(batch.samples.device.type, enabled=False):
        moments = batch.window_mean, batch.window_covariance
        scale, shift = norm_of_moments(
            *moments, conv.weight[:, 0], conv.bias, norm.weight, norm.bias, norm.eps
        )
    return scale.to(dtype), shift.to(dtype)


def convolutions(model: Model, batch: Batch) -> torch.Tensor:
    """The feature extractor: (B, channels, frames), whole frames of the padded rectangle."""
    if batch.features is not None:
        return batch.features
    layers = base_model(model).feature_extractor.conv_layers
    if model.config.feat_extract_norm == "group":
        if batch.samples.device.type == "cpu" and model.training and torch.is_autocast_enabled("cpu"):
            return _channels_last(layers, batch)
        hidden = first_convolution(layers[0], batch)
        layers = layers[1:]
    else:
        hidden = batch.samples[:, None]
    for layer in layers:
        hidden = layer(hidden)
    return hidden


def _channels_last(layers: Sequence[Model], batch: Batch) -> torch.Tensor:
    """The convolutions with the channels of a frame beside each other in memory, for training in 16 bits.

    oneDNN reorders the input and output of each otherwise: forward and backward of nano's on 80 s took 370 ms
    and take 230 so. In float32 they take 780 so and 470 otherwise. In one dimension torch has no such order.
    """
    first = layers[0]
    windows = batch.samples.unfold(1, first.conv.kernel_size[0], first.conv.stride[0])
    # of one channel, a convolution is a product with its windows: half the time
    hidden: torch.Tensor = nn.functional.linear(windows, first.conv.weight[:, 0], first.conv.bias)
    scale, shift = _group_norm(first, batch, hidden.dtype)
    hidden = first.activation(torch.addcmul(shift[:, None], hidden, scale[:, None]))
    hidden = hidden.transpose(1, 2)[:, :, None]
    for layer in layers[1:]:
        weight, (stride,) = layer.conv.weight[:, :, None], layer.conv.stride
        hidden = layer.activation(nn.functional.conv2d(hidden, weight, layer.conv.bias, (1, stride)))
    return hidden[:, :, 0]


def hidden_features(model: Model, batch: Batch) -> torch.Tensor:
    """What the encoder reads: (B, frames, hidden), zero past the end of each row."""
    base = base_model(model)
    hidden: torch.Tensor = base.layer_norm(convolutions(model, batch).transpose(1, 2))
    if base.project_features:
        hidden = base.feature_projection(hidden)
    hidden = base.feature_dropout(hidden)
    mask = frame_mask(batch.frames, hidden.shape[1])
    if model.training:
        # the lengths are read on the host, which would wait for a GPU
        lengths = frame_mask(torch.tensor(batch.frame_counts), hidden.shape[1])
        with _masks_that_fit(base.config, hidden.shape[1]):
            hidden = base._mask_hidden_states(hidden, attention_mask=lengths)
    return hidden.masked_fill(~mask[..., None], 0.0)


@contextmanager
def _masks_that_fit(config: Any, frames: int) -> Iterator[None]:
    """Hide no stretch of a batch that is shorter than one: transformers raises ValueError there."""
    wanted = config.mask_time_prob
    if config.mask_time_length > frames:
        config.mask_time_prob = 0.0
    try:
        yield
    finally:
        config.mask_time_prob = wanted


def encode(model: Model, batch: Batch) -> torch.Tensor:
    """Hidden states after the upsampling: (B, frames, hidden); only a row's first 2 floor(F / 2) count."""
    encoder = base_model(model).encoder
    states = squeezed_states(model, hidden_features(model, batch))
    lengths = batch.frames // model.config.squeeze_factor
    mask = frame_mask(lengths, states.shape[1])
    if hasattr(encoder, "encoder"):  # SEW-D: disentangled attention with its own mask handling
        states = encoder.encoder(states, mask.long()).last_hidden_state
    else:
        padded = any(n // model.config.squeeze_factor < states.shape[1] for n in batch.frame_counts)
        states = _sew_layers(encoder, states, mask if padded else None)
    return encoder.upsample(states)  # type: ignore[no-any-return]


def squeezed_states(model: Model, features: torch.Tensor) -> torch.Tensor:
    """Positional convolution plus average pooling: (B, frames, hidden) -> (B, frames / 2, hidden)."""
    encoder = base_model(model).encoder
    hidden = features.transpose(1, 2)
    positions = encoder.pos_conv_embed(hidden)
    pooled = encoder.pool(hidden)
    states: torch.Tensor = pooled + positions[..., : pooled.shape[-1]]
    return states.transpose(1, 2)


def _sew_layers(encoder: Model, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The transformer layers of SEW (post-norm), with layer drop in training; None masks nothing."""
    states = encoder.dropout(encoder.layer_norm(states))
    bias = None
    if mask is not None:
        bias = torch.zeros(mask.shape, dtype=states.dtype, device=states.device)
        bias = bias.masked_fill(~mask, _MASKED)[:, None, None, :]
    for layer in encoder.layers:
        if encoder.training and float(torch.rand(())) < encoder.config.layerdrop:
            continue
        states = layer(states, attention_mask=bias)
    return states


def ctc_logits(model: Model, batch: Batch) -> torch.Tensor:
    """Logits of SEWForCTC or SEWDForCTC: (B, frames, vocabulary)."""
    return model.lm_head(model.dropout(encode(model, batch)))  # type: ignore[no-any-return]


def class_logits(model: Model, batch: Batch) -> torch.Tensor:
    """Logits of SEWForSequenceClassification or SEWDForSequenceClassification: (B, labels)."""
    if model.config.use_weighted_layer_sum:
        weights = torch.softmax(model.layer_weights, dim=-1)
        hidden = (torch.stack(hidden_layers(model, batch), dim=1) * weights.view(-1, 1, 1)).sum(dim=1)
        kept = total = batch.frames // model.config.squeeze_factor
    else:
        hidden = encode(model, batch)
        kept = batch.frames // model.config.squeeze_factor * model.config.squeeze_factor
        total = batch.frames
    projected = model.projector(hidden)
    inside = frame_mask(kept, projected.shape[1])[..., None]
    # in 16 bits a sum over minutes may exceed the greatest number there is
    summed = projected.masked_fill(~inside, 0.0).sum(dim=1, dtype=torch.float32)
    # the odd last frame enters the mean of transformers as a zero vector, projected
    summed = summed + (total - kept)[:, None] * model.projector.bias
    return model.classifier((summed / total[:, None]).to(projected.dtype))  # type: ignore[no-any-return]


def hidden_layers(model: Model, batch: Batch) -> list[torch.Tensor]:
    """The input of the first layer and the output of every layer, each (B, states, hidden).

    These are states of 40 ms: transformers records its hidden_states before the upsampling.
    """
    layers = transformer_layers(model)
    recorded: list[torch.Tensor] = []

    def record(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        if not recorded:
            recorded.append(inputs[0])
        recorded.append(output[0] if isinstance(output, tuple) else output)

    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        encode(model, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return recorded


@contextmanager
def recorded_attentions(model: Model) -> Iterator[list[torch.Tensor]]:
    """A list that a forward pass fills with the attention weights of every layer.

    Each is (B, heads, states, states). The model has the eager implementation of attention: the others do not
    make the weights.
    """
    recorded: list[torch.Tensor] = []
    attentions: list[Model] = [layer.attention for layer in transformer_layers(model)]
    modules: list[Model] = [getattr(attention, "self", attention) for attention in attentions]
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: recorded.append(output[1]))
        for module in modules
    ]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()


def transformer_layers(model: Model) -> nn.ModuleList:
    """The transformer layers."""
    encoder = base_model(model).encoder
    layers: nn.ModuleList = encoder.encoder.layer if hasattr(encoder, "encoder") else encoder.layers
    return layers

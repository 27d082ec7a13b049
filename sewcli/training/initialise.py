"""Starting points for training: a model from a recipe, and a front end that hears before it learns.

Two things keep a small post-norm SEW from falling into "blank everywhere" when it starts from
nothing. The residual branches begin small, so that each layer is near the identity and gradients
pass through the stack of norms (the idea of DeepNorm, arXiv 2203.00555, and of T-Fixup). And the
convolutions first learn to predict the log-mel energies of their frames, a regression without any
alignment to find.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sewcli.acoustic.batch import Batch, frame_mask
from sewcli.acoustic.checkpoint import FAMILIES, check_supported, class_name, family_of
from sewcli.acoustic.failures import is_out_of_memory
from sewcli.acoustic.files import read_config
from sewcli.acoustic.forward import Model, base_model, convolutions, transformer_layers
from sewcli.chunking import HOP, RECEPTIVE_FIELD, SAMPLE_RATE
from sewcli.errors import ModelError, SewError, UsageError
from sewcli.nearest import meant
from sewcli.training.families import CONVOLUTION_KEYS, sew_d_from_sew
from sewcli.training.recipe import Recipe
from sewcli.training.settings import SHARE, check_setting, choice

log = logging.getLogger("sewcli")

MEL_BANDS = 80
#: samples of the Fourier transform of a frame, the least power of two that holds one
_TRANSFORM = 512

#: keys of a configuration that the vocabulary or the labels decide
_HEAD_KEYS = {
    "vocab_size",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "num_labels",
    "id2label",
    "label2id",
}
#: keys that no configuration has by itself, which `check_supported` refuses by name
_REFUSED_KEYS = {"add_adapter", "adapter_attn_dim", "quantization_config"}
#: ends of the keys whose values are shares of something
_SHARES = ("dropout", "layerdrop", "_prob")


def build_model(
    recipe: Recipe, head: dict[str, Any], start: Path | None, feature_encoder: Path | None = None
) -> Model:
    """The model of a recipe, freshly initialised or with the weights of a model directory.

    Args:
        recipe: task, family and configuration.
        head: configuration of the head (vocabulary size or labels).
        start: directory whose encoder it starts from.
        feature_encoder: directory whose convolutions a model from nothing gets.

    Raises:
        UsageError: the configuration asks for what cannot be.
        ModelError: `start` is another family's, or uses what sew does not run.
    """
    import transformers
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    model_class = getattr(transformers, class_name(recipe.family, recipe.task))
    settings = {**head, **recipe.config}
    try:
        if start is None:
            model = _from_nothing(model_class, recipe, settings, feature_encoder)
        else:
            before = read_config(start)
            check_supported(start, {**before, **recipe.config}, recipe.task)
            widened = (before["model_type"], recipe.family) == ("sew", "sew-d")
            model = (sew_d_from_sew if widened else _start_from)(model_class, start, settings)
    except SewError:
        raise
    except Exception as error:
        # whatever a value that the library cannot use makes it raise
        if is_out_of_memory(error):
            raise
        raise UsageError(
            f"the model cannot be built: {' '.join(str(error).split())}", hint="correct config, or init"
        ) from error
    config = model.config
    if config.mask_feature_prob and config.mask_feature_length > config.hidden_size:
        raise UsageError(
            f"config.mask_feature_length is more than the {config.hidden_size} channels there are"
        )
    return model


def _from_nothing(
    model_class: Any, recipe: Recipe, settings: dict[str, Any], feature_encoder: Path | None
) -> Model:
    if feature_encoder is not None:
        shapes = read_config(feature_encoder)
        settings = {**{key: shapes[key] for key in CONVOLUTION_KEYS if key in shapes}, **settings}
    config = model_class.config_class(**settings)
    check_supported(Path("[config]"), json.loads(config.to_json_string(use_diff=False)), recipe.task)
    model = model_class(config)
    widen(model, recipe.residual_gain)
    if feature_encoder is not None:
        take_convolutions(model, feature_encoder)
    return model


def check_config(recipe: Recipe) -> None:
    """Refuse what the library would pass over or fail at late: what the data decide, names it does not know,
    values that cannot be (UsageError).
    """
    import transformers

    config = recipe.config
    decided = sorted(_HEAD_KEYS & config.keys())
    if decided:
        raise UsageError(f"config: {', '.join(decided)} follow from the data, leave them out")
    known = {*getattr(transformers, f"{FAMILIES[recipe.family]}Config")().to_dict(), *_REFUSED_KEYS}
    for name, value in config.items():
        if name not in known:
            raise UsageError(
                f"config: there is no setting {name}{meant(name, known)}",
                hint="see SEWConfig and SEWDConfig of transformers",
            )
        if name.endswith(_SHARES):
            check_setting(f"config.{name}", value, SHARE)
        if name == "ctc_loss_reduction":
            check_setting(f"config.{name}", value, choice("mean", "sum"))


def _start_from(model_class: Any, directory: Path, changes: dict[str, Any]) -> Model:
    """The encoder of a model directory under a head of its own (ModelError if it is another family's)."""
    model, report = model_class.from_pretrained(
        directory,
        dtype=torch.float32,
        local_files_only=True,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **changes,
    )
    # a fresh head is what is wanted; anything else that is not taken over would be random in silence
    missing = {*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])}
    encoder = [name for name in sorted(missing) if name.startswith(f"{model.base_model_prefix}.")]
    lost = [name for name in encoder if not name.endswith("masked_spec_embed")]
    if lost:
        raise ModelError(
            f"init: {directory} does not fit {model_class.__name__}: {len(lost)} weights such as {lost[0]}",
            hint="start from a model of the same family and size",
            code="wrong_family",
        )
    return model


def take_convolutions(model: Model, directory: Path) -> None:
    """Give a model the convolutions of the model in `directory` and the layer norm after them, in place.

    Raises:
        ModelError: they have other shapes.
    """
    import transformers

    found = class_name(family_of(directory, read_config(directory)), "features")
    source = getattr(transformers, found).from_pretrained(
        directory, dtype=torch.float32, local_files_only=True
    )
    base = base_model(model)
    try:
        base.feature_extractor.load_state_dict(source.feature_extractor.state_dict())
        base.layer_norm.load_state_dict(source.layer_norm.state_dict())
    except RuntimeError as error:
        raise ModelError(
            f"feature_encoder: {directory} has convolutions of other shapes than the configuration",
            hint="leave conv_dim, conv_kernel and conv_stride to that model",
            code="wrong_family",
        ) from error


def freeze(model: Model, recipe: Recipe) -> None:
    """Keep from learning what the recipe leaves as it is, in place.

    Raises:
        UsageError: it names more layers than there are.
    """
    if recipe.freeze_feature_encoder:
        model.freeze_feature_encoder()
    if not recipe.freeze_layers:
        return
    base, layers = base_model(model), transformer_layers(model)
    if recipe.freeze_layers > len(layers):
        raise UsageError(f"freeze_layers is {recipe.freeze_layers}; the model has {len(layers)} layers")
    base.requires_grad_(False)
    left = layers[recipe.freeze_layers :]
    for module in (*left, *([base.encoder.upsample] if left else [])):
        module.requires_grad_(True)


@torch.no_grad()
def widen(model: Model, residual_gain: float) -> None:
    """Replace the library's narrow normal initialisation (std 0.02) of the linear layers by Xavier.

    The last layer of every residual branch is scaled by `residual_gain`.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            last = name.endswith(("out_proj", "output_dense", "output.dense"))
            nn.init.xavier_uniform_(module.weight, gain=residual_gain if last else 1.0)
            nn.init.zeros_(module.bias)


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Log-mel energies of the frames of a SEW model: (B, n) samples -> (B, F, 80)."""
    from librosa.filters import mel

    # torch would put a window shorter than the transform into its middle
    room = (0, _TRANSFORM - RECEPTIVE_FIELD)
    window = nn.functional.pad(torch.hann_window(RECEPTIVE_FIELD, device=samples.device), room)
    spectrum = torch.stft(
        nn.functional.pad(samples, room), _TRANSFORM, HOP, window=window, center=False, return_complex=True
    )
    bank = mel(sr=SAMPLE_RATE, n_fft=_TRANSFORM, n_mels=MEL_BANDS)
    energies = torch.einsum(
        "mf,bft->btm", torch.from_numpy(np.asarray(bank)).to(samples.device), spectrum.abs().square()
    )
    return torch.log(energies + 1e-5)


def teach_front_end(
    model: Model, batches: Iterator[Batch], steps: int, report: Callable[[int, float], None], *, bf16: bool
) -> None:
    """Train the convolutions and their layer norm to predict log-mel energies, in place.

    The targets are standardised per band over each batch; the regression head is thrown away.
    """
    base = base_model(model)
    head = nn.Linear(model.config.conv_dim[-1], MEL_BANDS).to(model.device)
    parameters = [
        *base.feature_extractor.parameters(),
        *base.layer_norm.parameters(),
        *head.parameters(),
    ]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    model.train()
    for step in range(steps):
        batch = next(batches).to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            predicted = head(base.layer_norm(convolutions(model, batch).transpose(1, 2)))
        inside = frame_mask(batch.frames, predicted.shape[1])
        target = log_mel(batch.samples)[inside]
        target = (target - target.mean(0)) / (target.std(0) + 1e-3)
        loss = nn.functional.mse_loss(predicted[inside].float(), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            report(step, loss.item())

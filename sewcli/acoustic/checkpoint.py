"""What a model directory says about itself, checked before any weights are read.

transformers loads many directories that are not what they seem: a checkpoint without a head gets a
random one, adapters are left out, a regression model passes for a classifier. Each of these is an
error here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sewcli.acoustic.files import read_config, read_json, weight_names
from sewcli.acoustic.statistics import WINDOW, WINDOW_STRIDE
from sewcli.chunking import HOP, PAIR, RECEPTIVE_FIELD, SAMPLE_RATE
from sewcli.errors import ModelError
from sewcli.json_files import one_line

FAMILIES = {"sew": "SEW", "sew-d": "SEWD"}
TASKS = {"ctc": "ForCTC", "classification": "ForSequenceClassification", "features": "Model"}
#: parameters that only a model with this head has
HEADS = {"ctc": "lm_head.weight", "classification": "classifier.weight"}
#: the library's defaults, which are those of the published models
PUBLISHED_KERNELS = [10, 3, 1, 3, 1, 3, 1, 3, 1, 2, 1, 2, 1]
PUBLISHED_STRIDES = [5, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1]
#: begins the names of an encoder's weights, inside a model with a head and alone
_ENCODER = ("sew.", "sew_d.", "encoder.", "feature_")
_COMMANDS = {"ctc": "sew transcribe", "classification": "sew classify"}


@dataclass(frozen=True)
class Checkpoint:
    """A model directory that has passed the checks.

    Attributes:
        directory: with config.json, the weights and what else belongs to the model.
        config: the contents of config.json.
        family: "sew" or "sew-d".
        task: "ctc", "classification" or "features" (the hidden states, whatever head there is).
        normalize: whether each utterance is brought to zero mean and unit variance.
    """

    directory: Path
    config: dict[str, Any]
    family: str
    task: str
    normalize: bool

    @property
    def class_name(self) -> str:
        """Name of the transformers class."""
        return class_name(self.family, self.task)


#: the names of the weights of more would fill the memory before one is missed
_MOST_LAYERS = 1000


def class_name(family: str, task: str) -> str:
    """Name of the transformers class of a family and a task."""
    return FAMILIES[family] + TASKS[task]


def family_of(directory: Path, config: Mapping[str, Any]) -> str:
    """ "sew" or "sew-d".

    Args:
        directory: of the model, for the message.
        config: the contents of its config.json.

    Raises:
        ModelError: it is a model of another family.
    """
    family = config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise ModelError(
            f"{directory} is not a SEW model: its config.json has model_type {family!r}",
            hint="sew runs models of type sew and sew-d",
            code="wrong_family",
        )
    return str(family)


def inspect(directory: Path, task: str) -> Checkpoint:
    """Check that a directory holds a model for `task`, by its JSON files and its list of weights.

    Raises:
        ModelError: it does not; the message names the directory and says what is wrong.
    """
    config = read_config(directory)
    family = family_of(directory, config)
    check_supported(directory, config, task)
    names = weight_names(directory)
    if names is not None and task in HEADS:
        _check_head(directory, task, names)
    settings = _preprocessor(directory)
    rate = settings.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise ModelError(f"{directory} wants audio at {rate} Hz; SEW models read {SAMPLE_RATE} Hz")
    return Checkpoint(directory, config, family, task, bool(settings.get("do_normalize", True)))


def _preprocessor(directory: Path) -> dict[str, Any]:
    """The settings of the feature extractor; transformers saves those of a processor in one file since 5."""
    whole, own = directory / "processor_config.json", directory / "preprocessor_config.json"
    if whole.exists():
        part = read_json(whole).get("feature_extractor")
        if isinstance(part, dict):
            return part
    return read_json(own) if own.exists() else {}


def check_supported(directory: Path, config: dict[str, Any], task: str) -> None:
    """Refuse by name what sew does not run: adapters, quantized weights, regression, other frames.

    Raises:
        ModelError: the configuration asks for one of these.
    """
    _refuse_unsupported(directory, config, task)
    _check_layers(directory, config)
    _check_frames(directory, config)


def _refuse_unsupported(directory: Path, config: dict[str, Any], task: str) -> None:
    for key in ("add_adapter", "adapter_attn_dim"):
        if config.get(key):
            raise ModelError(
                f"{directory} uses adapters ({key} in its config.json), which sew does not run",
                hint="merge them into the weights, or use a model without adapters",
                code="adapters",
            )
    if config.get("quantization_config"):
        raise ModelError(
            f"{directory} is quantized (quantization_config in its config.json), which sew does not run",
            hint="use the weights it was made from",
            code="quantized",
        )
    labels = config.get("id2label")
    if (
        task == "classification"
        and isinstance(labels, dict)
        and set(labels) != set(map(str, range(len(labels))))
    ):
        raise ModelError(
            f"{directory}: the labels of its config.json are not numbered from 0 to {len(labels) - 1}",
            code="damaged_model",
        )
    kind = config.get("problem_type")
    if task == "classification" and kind not in (None, "single_label_classification"):
        raise ModelError(
            f"{directory} has problem_type {kind!r}; sew names one label of several",
            hint="use a model that was trained with single_label_classification",
            code="problem_type",
        )
    count = len(labels) if isinstance(labels, dict) else config.get("num_labels")
    if task == "classification" and count == 1:
        raise ModelError(
            f"{directory} has num_labels 1: a regression model, which has no labels to choose from",
            hint="use a classification model with two labels or more",
            code="num_labels",
        )


def _check_layers(directory: Path, config: dict[str, Any]) -> None:
    """Refuse a number of layers that no machine holds, before their weights are looked for."""
    layers = config.get("num_hidden_layers", 0)
    if not isinstance(layers, int) or not 0 <= layers <= _MOST_LAYERS:
        raise ModelError(f"{directory}: its config.json has {layers} layers", code="damaged_model")


def _check_frames(directory: Path, config: dict[str, Any]) -> None:
    """The arithmetic of chunks is for the frames of the published models."""
    kernels = config.get("conv_kernel", PUBLISHED_KERNELS)
    strides = config.get("conv_stride", PUBLISHED_STRIDES)
    if not (_numbers(kernels) and _numbers(strides) and len(kernels) == len(strides)):
        raise ModelError(
            f"{directory}: conv_kernel and conv_stride in its config.json are not two lists of one length",
            code="damaged_model",
        )
    field, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    squeeze = config.get("squeeze_factor", PAIR)
    first = kernels[:1] + strides[:1]
    if (field, hop, squeeze) != (RECEPTIVE_FIELD, HOP, PAIR) or first != [WINDOW, WINDOW_STRIDE]:
        raise ModelError(
            f"{directory} has frames of {field} samples every {hop}, squeezed by {squeeze}, and begins with "
            f"a convolution of {first}; sew runs models with {RECEPTIVE_FIELD}, {HOP}, {PAIR} and "
            f"{[WINDOW, WINDOW_STRIDE]}",
            code="wrong_frames",
        )


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, int) for item in value)


def declared_task(directory: Path) -> str | None:
    """The task of a model directory by the architecture it names; None if that says nothing."""
    names = read_config(directory).get("architectures")
    if not isinstance(names, list):
        return None
    for task, ending in TASKS.items():
        if any(str(name).endswith(ending) for name in names):
            return task
    return None


def _check_head(directory: Path, task: str, names: set[str]) -> None:
    if HEADS[task] in names:
        return
    for other, head in HEADS.items():
        if head in names:
            raise ModelError(
                f"{directory} is a {other} model, not a {task} model",
                hint=f"use it with `{_COMMANDS[other]}`, or choose another model: `sew models list`",
                code="wrong_task",
            )
    raise ModelError(
        f"{directory} has no {HEADS[task]}: a pre-trained encoder without a head",
        hint="fine-tune it first (`sew train`), or choose a fine-tuned model: `sew models list`",
        code="no_head",
    )


def label_names(config: dict[str, Any]) -> tuple[str, ...]:
    """Class names of a config.json, in the order of the logits, as transformers reads them."""
    labels = config.get("id2label")
    if isinstance(labels, dict):
        return tuple(one_line(str(labels[str(number)])) for number in range(len(labels)))
    return tuple(f"LABEL_{number}" for number in range(_label_count(config)))


def _label_count(config: dict[str, Any]) -> int:
    """Of a configuration that names none; 2 in transformers, where it does not say."""
    count = config.get("num_labels", 2)
    return count if isinstance(count, int) else 2


def check_names(checkpoint: Checkpoint, missing: set[str], unexpected: set[str]) -> None:
    """Refuse weights that are not there, and weights the configuration has no place for.

    Args:
        checkpoint: that they were read from.
        missing, unexpected: names of tensors, as transformers names them.

    Raises:
        ModelError: naming the first of them.
    """
    # only training uses the embedding that SpecAugment puts in place of masked frames
    missing = {name for name in missing if not name.endswith("masked_spec_embed")}
    if missing:
        raise ModelError(
            f"{checkpoint.directory} lacks weights of {checkpoint.class_name}: {_some(missing)}",
            hint="without them the model would answer at random; use a complete checkpoint",
            code="no_head" if HEADS.get(checkpoint.task) in missing else "damaged_model",
        )
    # pre-training leaves a quantizer and projections behind, which nothing here needs
    unexpected = {
        name for name in unexpected if name.startswith(_ENCODER) and not name.endswith("masked_spec_embed")
    }
    if unexpected:
        raise ModelError(
            f"{checkpoint.directory}: its config.json has no place for {_some(unexpected)}",
            hint="the configuration belongs to another model; fetch both again",
            code="damaged_model",
        )


def _some(names: set[str]) -> str:
    """The first few of many names."""
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"

"""A training recipe: one TOML file, whose settings `--set` may override."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sewcli.errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    Attributes:
        name: of the model that results.
        task: "ctc" or "classification".
        family: "sew" or "sew-d".
        train, dev: manifests (JSON Lines).
        noise: directory of noise recordings: background noise for augmentation and, for
            classification, the source of `_silence_`; None for none.
        background, background_dev: manifests of transcribed speech from which `_unknown_` is cut for
            training and for dev (classification).
        init: directory of a model whose encoder to start from; None to start from nothing.
        config: keyword arguments of SEWConfig or SEWDConfig.
        seed: of every random choice.
        steps: updates in all.
        batch_seconds: audio in one update.
        pool_batches, shortest_first: how clips are put together, see `batches.Bucketing`.
        max_seconds, min_seconds: clips outside are left out, and counted.
        peak_rate: highest learning rate (AdamW).
        warmup: updates over which the rate rises to the peak.
        decay_from: share of the updates after which it falls linearly to zero.
        weight_decay, clip_norm: of AdamW and of the gradient.
        average: decay of the exponential moving average of the weights that is evaluated and saved.
        residual_gain: factor on the last weights of each residual branch at the start.
        front_end_steps: updates that teach the front end log-mel energies before anything else.
        repeat: how often the clips of a set come in one pass, by set (ctc); 1 for those not named.
        speeds: factors by which clips are played faster or slower at random.
        noise_probability, noise_snr: share of clips with noise added; its range in dB.
        eval_every: updates between evaluations on dev, each of which also writes a checkpoint.
        save_every: updates between checkpoints without an evaluation.
    """

    name: str
    task: str
    train: Path
    dev: Path
    family: str = "sew"
    noise: Path | None = None
    background: Path | None = None
    background_dev: Path | None = None
    init: Path | None = None
    config: dict[str, Any] = field(default_factory=dict)
    repeat: dict[str, int] = field(default_factory=dict)
    seed: int = 0
    steps: int = 10_000
    batch_seconds: float = 32.0
    pool_batches: int = 40
    shortest_first: bool = False
    max_seconds: float = 16.0
    min_seconds: float = 0.2
    peak_rate: float = 1e-3
    warmup: int = 500
    decay_from: float = 0.6
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average: float = 0.999
    residual_gain: float = 0.2
    front_end_steps: int = 500
    speeds: tuple[float, ...] = (1.0,)
    noise_probability: float = 0.0
    noise_snr: tuple[float, float] = (5.0, 25.0)
    eval_every: int = 1000
    save_every: int = 250


_PATHS = {"train", "dev", "noise", "background", "background_dev", "init"}


def load_recipe(path: Path, data: Path | None, overrides: list[str]) -> Recipe:
    """Read a recipe.

    Args:
        path: the TOML file.
        data: folder the recipe's data paths are relative to; the recipe's own folder when None.
            `init` is relative to the working directory.
        overrides: settings of the form "key=value", the value in TOML or a bare string.

    Raises:
        UsageError: no such file, bad TOML, an unknown or missing key, or a value of the wrong type.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the recipe {path} is not valid TOML: {error}") from error
    for setting in overrides:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: write key=value")
        fields[key.strip()] = _toml_value(value)
    known = {item.name: item for item in dataclasses.fields(Recipe)}
    unknown = sorted(fields.keys() - known.keys())
    if unknown:
        raise UsageError(
            f"the recipe {path} has no key {', '.join(unknown)}", hint=f"keys: {', '.join(known)}"
        )
    missing = [key for key in ("name", "task", "train", "dev") if key not in fields]
    if missing:
        raise UsageError(f"the recipe {path} lacks {', '.join(missing)}")
    base = data if data is not None else path.parent
    for key in _PATHS & fields.keys():
        fields[key] = Path(str(fields[key])) if key == "init" else base / str(fields[key])
    for key, value in fields.items():
        if isinstance(value, list):
            fields[key] = tuple(value)
    for key, value in fields.items():
        _check_value(key, value)
    recipe = Recipe(**fields)
    if recipe.task not in ("ctc", "classification"):
        raise UsageError(f"task is {recipe.task!r}; it is ctc or classification")
    if recipe.family not in ("sew", "sew-d"):
        raise UsageError(f"family is {recipe.family!r}; it is sew or sew-d")
    return recipe


_WHOLE = {"steps", "eval_every", "save_every", "pool_batches"}
_NOT_NEGATIVE = {"seed", "warmup", "front_end_steps"}
_POSITIVE = {"batch_seconds", "max_seconds", "min_seconds", "peak_rate", "clip_norm", "residual_gain"}
_SHARES = {"decay_from", "average", "noise_probability"}
_TEXTS = {"name", "task", "family"}


def _check_value(key: str, value: Any) -> None:
    """Refuse a value of the wrong type or out of range (UsageError)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = isinstance(value, int) and not isinstance(value, bool)
    numbers = isinstance(value, tuple) and all(isinstance(item, int | float) for item in value)
    rules = [
        (_WHOLE, whole and value >= 1, "a whole number from 1 up"),
        (_NOT_NEGATIVE, whole and value >= 0, "a whole number from 0 up"),
        (_POSITIVE, number and value > 0, "a number above 0"),
        ({"weight_decay"}, number and value >= 0, "a number from 0 up"),
        (_SHARES, number and 0 <= value <= 1, "a number from 0 to 1"),
        (_TEXTS, isinstance(value, str), "a string"),
        ({"config"}, isinstance(value, dict), "a table"),
        ({"repeat"}, _is_repeat(value), "a table of whole numbers from 1 up"),
        ({"shortest_first"}, isinstance(value, bool), "true or false"),
        ({"speeds"}, numbers and len(value) > 0 and min(value, default=0) > 0, "a list of factors above 0"),
        ({"noise_snr"}, numbers and len(value) == 2, "a list of two numbers"),
    ]
    for keys, good, wanted in rules:
        if key in keys and not good:
            raise UsageError(f"{key} is {value!r}; it is {wanted}")


def _is_repeat(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(times, int) and times >= 1 for times in value.values())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text

"""Which values the settings of a recipe may have."""

from __future__ import annotations

from typing import Any

from sewcli.errors import UsageError

_CHOICES = {
    "task": ("ctc", "classification"),
    "family": ("auto", "sew", "sew-d"),
    "optimizer": ("adamw", "muon"),
    "precision": ("auto", "bf16", "float32"),
    "punctuation": ("keep", "remove"),
    "choose": ("best", "last"),
}
_COUNTS = {
    "steps",
    "eval_every",
    "save_every",
    "pool_batches",
    "accumulate",
    "part_mib",
    "teacher_steps",
    "phone_layer",
}
_NOT_NEGATIVE = {"seed", "warmup", "front_end_steps", "early_stop", "keep_features"}
_POSITIVE = {
    "batch_seconds",
    "max_seconds",
    "min_seconds",
    "peak_rate",
    "clip_norm",
    "residual_gain",
    "phone_weight",
}
_SHARES = {
    "decay_from",
    "average",
    "noise_probability",
    "room_probability",
    "response_probability",
    "band_probability",
}
_TEXTS = {
    "name",
    "init",
    "vocabulary",
    "dev",
    "lexicon",
    "noise",
    "background",
    "background_dev",
    "feature_encoder",
    "teacher",
}
_FLAGS = {"shortest_first", "freeze_feature_encoder"}
#: the lowest factor by which a clip is slowed down and the highest by which it is sped up
_SPEEDS = (0.1, 10.0)


def check_setting(key: str, value: Any) -> None:
    """Refuse a value of the wrong type or out of range (UsageError)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = isinstance(value, int) and not isinstance(value, bool)
    rules = [
        (_COUNTS, whole and value >= 1, "a whole number from 1 up"),
        (_NOT_NEGATIVE, whole and value >= 0, "a whole number from 0 up"),
        (_POSITIVE, number and value > 0, "a number above 0"),
        ({"weight_decay", "consistency"}, number and value >= 0, "a number from 0 up"),
        (_SHARES, number and 0 <= value <= 1, "a number from 0 to 1"),
        (_TEXTS, isinstance(value, str), "a string"),
        (_FLAGS, isinstance(value, bool), "true or false"),
        ({"config"}, isinstance(value, dict), "a table"),
        ({"repeat", "feature_versions"}, _are_counts(value), "a table of whole numbers from 1 up"),
        ({"train"}, _are_texts(value), "a path or a list of paths"),
        ({"speeds"}, _are_speeds(value), f"a list of factors from {_SPEEDS[0]:g} to {_SPEEDS[1]:g}"),
        (
            {"feature_tempo"},
            _are_speeds(value) and _is_range(value),
            f"a list of the least and the greatest factor, from {_SPEEDS[0]:g} to {_SPEEDS[1]:g}",
        ),
        (
            {"noise_snr"},
            _are_numbers(value) and _is_range(value),
            "a list of the least and the greatest number",
        ),
    ]
    for keys, good, wanted in rules:
        if key in keys and not good:
            raise UsageError(f"{key} is {value!r}; it is {wanted}")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise UsageError(f"{key} is {value!r}; it is {' or '.join(_CHOICES[key])}")


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(item, int | float) and not isinstance(item, bool) for item in value
    )


def _are_speeds(value: Any) -> bool:
    return _are_numbers(value) and len(value) > 0 and all(_SPEEDS[0] <= item <= _SPEEDS[1] for item in value)


def _is_range(value: Any) -> bool:
    return len(value) == 2 and value[0] <= value[1]


def _are_texts(value: Any) -> bool:
    listed = isinstance(value, list) and len(value) > 0 and all(isinstance(item, str) for item in value)
    return isinstance(value, str) or listed


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(times, int) and times >= 1 for times in value.values())

"""What a recipe must not ask for: settings that would have no effect beside the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from sewcli.errors import UsageError
from sewcli.inputs.manifest import Row
from sewcli.training.optimizers import learning_rate
from sewcli.training.recipe import Recipe

log = logging.getLogger("sewcli")

#: settings that say more of another one
_PARTS = {
    "revision": "init",
    "phone_layer": "lexicon",
    "phone_weight": "lexicon",
    "teacher_steps": "teacher",
    "word_error_from": "word_error_weight",
    "rooms": "room_probability",
}
#: share of the peak of the learning rate that a training ought to reach
_NEAR_PEAK = 0.95
_FOR_CTC = ("teacher", "lexicon", "consistency", "word_error_weight", "repeat")


def check_effects(recipe: Recipe) -> None:
    """Refuse settings that would have no effect (UsageError)."""
    if recipe.feature_encoder is not None and recipe.init is not None:
        raise UsageError(
            "feature_encoder is for a model from nothing, and init brings its own convolutions",
            hint="leave one of them out",
        )
    for name in _FOR_CTC:
        if getattr(recipe, name) and recipe.task != "ctc":
            raise UsageError(f"{name} is for task ctc", hint=f"leave {name} out")
    for name, owner in _PARTS.items():
        if getattr(recipe, name) != getattr(Recipe, name) and not getattr(recipe, owner):
            raise UsageError(f"{name} is set and {owner} is not", hint=f"set {owner}, or leave {name} out")
    if recipe.label_smoothing != Recipe.label_smoothing and recipe.task != "classification":
        raise UsageError("label_smoothing is for task classification", hint="leave label_smoothing out")
    if recipe.average == 1:
        raise UsageError("average is 1: it would stay at the first update", hint="set 0.999, or 0 for none")
    if recipe.word_error_from == 1:
        raise UsageError(
            "word_error_from is 1: word errors would not count in any update", hint="set a smaller share"
        )
    if (recipe.background is None) != (recipe.background_dev is None):
        raise UsageError(
            "background and background_dev belong together: speech of training and of dev",
            hint="set both, or neither",
        )
    if recipe.freeze_feature_encoder and recipe.init is None and recipe.feature_encoder is None:
        raise UsageError(
            "freeze_feature_encoder would freeze convolutions that are random",
            hint="set init or feature_encoder, or leave freeze_feature_encoder out",
        )
    if recipe.freeze_layers and recipe.init is None:
        raise UsageError(
            "freeze_layers would freeze layers that are random", hint="set init, or leave freeze_layers out"
        )


def tell_masks(config: Any, frames: int) -> None:
    """Warn where SpecAugment hides no stretch of time, since batches are not longer than one.

    Args:
        config: of the model.
        frames: of the longest clip.
    """
    if config.apply_spec_augment and config.mask_time_prob > 0 and config.mask_time_length > frames:
        log.warning(
            "mask_time_length is %d frames, and the longest clip has %d: no stretch of time is masked",
            config.mask_time_length,
            frames,
        )


def tell_short_course(recipe: Recipe) -> None:
    """Warn where the rate falls, or the training ends, before it has risen to the peak."""
    # the rate rises and then falls: it is greatest where both lines meet, or between them
    steps, warmup = recipe.steps, recipe.warmup
    falling = steps * (1 - recipe.decay_from)
    meeting = int((warmup * steps - falling) / (warmup + falling)) if falling else steps
    near = (min(max(0, step), steps - 1) for step in (meeting, meeting + 1))
    share = max(learning_rate(recipe, step) for step in near) / recipe.peak_rate
    if share < _NEAR_PEAK:
        log.warning(
            "the rate rises to %.0f %% of peak_rate only: warmup is %d and steps %d (decay_from %g)",
            *(100 * share, warmup, steps, recipe.decay_from),
        )


def check_sets(recipe: Recipe, rows: Iterable[Row]) -> None:
    """Tell of settings for sets that the training data do not have."""
    sets = {row.set for row in rows}
    for setting in ("repeat", "feature_versions"):
        unknown = sorted(getattr(recipe, setting).keys() - sets)
        if unknown:
            log.warning("%s: no training clip is of the set %s", setting, ", ".join(unknown))

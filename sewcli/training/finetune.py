"""The recipe of `sew train MANIFEST`: adapt a model to some clips, without writing a recipe first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sewcli.training.recipe import Recipe, make_recipe

#: for minutes to hours of speech; short runs need a moving average with a short memory
_SETTINGS: dict[str, Any] = {
    "steps": 2000,
    "batch_seconds": 30.0,
    "peak_rate": 3e-4,
    "warmup": 100,
    "decay_from": 0.3,
    "average": 0.99,
    "speeds": [0.9, 1.0, 1.1],
    "eval_every": 200,
    "save_every": 100,
    "early_stop": 5,
    "punctuation": "remove",
}


def fine_tune_recipe(
    train: Path,
    dev: Path | None,
    *,
    labelled: bool,
    init: str,
    revision: str | None = None,
    name: str,
    overrides: list[str],
) -> Recipe:
    """Settings for fine-tuning.

    Args:
        train, dev: data, see `corpus`; without dev a part of train is held out.
        labelled: train to classify, not to transcribe.
        init, revision: the model to start from.
        name: of the model that results.
        overrides: "key=value" settings.

    Raises:
        UsageError: an override that cannot be.
    """
    fields = {
        **_SETTINGS,
        "name": name,
        "task": "classification" if labelled else "ctc",
        "train": str(train.absolute()),
        "init": init,
    }
    if revision is not None:
        fields["revision"] = revision
    if dev is not None:
        fields["dev"] = str(dev.absolute())
    if labelled:
        fields["pool_batches"] = 6  # where length tells the label, batches must mix lengths
    return make_recipe(fields, overrides, Path(), "--set")

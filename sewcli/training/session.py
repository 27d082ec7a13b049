"""One training from its recipe to the exported model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sewcli.errors import UsageError
from sewcli.manifest import read_manifest
from sewcli.training.augment import load_noise
from sewcli.training.cache import AudioCache
from sewcli.training.ctc import CtcTask
from sewcli.training.export import export
from sewcli.training.initialise import build_model
from sewcli.training.keywords import KeywordTask
from sewcli.training.loop import Trainer
from sewcli.training.recipe import Recipe

log = logging.getLogger("sewcli")


def train_model(
    recipe: Recipe,
    directory: Path,
    *,
    threads: int | None = None,
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Train by `recipe`, or continue, and export the best model to `directory`/model.

    Args:
        recipe: what to train and how.
        directory: for the checkpoint, the log, the cache of samples and the model.
        threads: of torch; its own choice when None.
        after_step: called with the number of updates done, after each.

    Raises:
        UsageError: a manifest cannot be read or leaves nothing to train on.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    task = _task(recipe, directory / "cache")
    if not task.lengths.size:
        raise UsageError(f"no clip of {recipe.train} can be trained on")
    torch.manual_seed(recipe.seed)
    model = build_model(recipe, task.head)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    log.info("%s: %.2f M parameters, %d clips", recipe.name, parameters / 1e6, task.lengths.size)
    trainer = Trainer(recipe, model, task, directory)
    trainer.run(after_step)
    model.load_state_dict(torch.load(trainer.best_file, weights_only=True)["model"])
    export(model, directory / "model")
    log.info("the best model is in %s", directory / "model")


def _task(recipe: Recipe, cache: Path) -> Any:
    def clips(manifest: Path) -> AudioCache:
        return AudioCache.build(read_manifest(manifest), cache)

    if recipe.task == "ctc":
        return CtcTask(recipe, clips(recipe.train), clips(recipe.dev))
    if recipe.background is None or recipe.background_dev is None:
        raise UsageError("a classification recipe needs background and background_dev for _unknown_")
    background = clips(recipe.background), clips(recipe.background_dev)
    return KeywordTask(recipe, clips(recipe.train), clips(recipe.dev), background, load_noise(recipe.noise))

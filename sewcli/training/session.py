"""One training from its recipe to the exported model."""

from __future__ import annotations

import dataclasses
import datetime
import errno
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sewcli.acoustic.checkpoint import family_of
from sewcli.acoustic.cuda import multiplies_bfloat16_on, settle_cuda
from sewcli.acoustic.failures import is_out_of_memory
from sewcli.acoustic.files import read_config
from sewcli.acoustic.forward import Model
from sewcli.acoustic.load import find_device
from sewcli.acoustic.pickled import keep_safetensors
from sewcli.acoustic.processor import multiplies_bfloat16
from sewcli.chunking import frame_count
from sewcli.errors import DeviceError, InputError, ModelError, SewError, UsageError
from sewcli.hub.fetching import LocalModel, fetch
from sewcli.model_json import write_own
from sewcli.registry import ModelSpec, resolve
from sewcli.training.augment import check_recordings
from sewcli.training.card import DataSummary, write_card
from sewcli.training.checkpoint import CHOSEN, dev_of, held, last_step, load_checkpoint
from sewcli.training.checks import check_effects, tell_masks, tell_short_course
from sewcli.training.classification import ClassificationTask
from sewcli.training.ctc import CtcTask
from sewcli.training.curves import draw_curves
from sewcli.training.data import Data, make_task, read_data, write_spelling
from sewcli.training.export import export
from sewcli.training.features import check_kept_features
from sewcli.training.heads import roles, take_head
from sewcli.training.history import History
from sewcli.training.initialise import build_model, check_config
from sewcli.training.interfaces import Observer
from sewcli.training.loop import Trainer
from sewcli.training.observers import MetricsLog, TensorBoardLog
from sewcli.training.phones import PhoneLoss
from sewcli.training.posteriors import check_readings
from sewcli.training.recipe import Recipe

log = logging.getLogger("sewcli")

#: what oneDNN has compiled for the shapes of batches stays: 1024 are not enough for a training
_PRIMITIVES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "20000")
#: as the library for tensors tells it
_ERROR_NUMBER = re.compile(r"os error (\d+)")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def train_model(
    recipe: Recipe,
    directory: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    offline: bool = False,
    skip_bad: bool = False,
    observers: Sequence[Observer] = (),
) -> None:
    """Train by `recipe`, or continue, and export the model to `directory`/model.

    Args:
        recipe: what to train and how.
        directory: for the checkpoint, the logs, the cache of samples and the model.
        device: "auto" takes CUDA where there is one; "cpu" does not.
        threads: of torch; its own choice when None.
        offline: fetch nothing from the hub.
        skip_bad: leave bad rows of the data out instead of refusing them.
        observers: told of every update and evaluation, beside the logs written to `directory`.

    Raises:
        UsageError: the data cannot be read or leave nothing to train on, or a package is missing.
        ModelError: the model to start from is not there or cannot be trained.
        DeviceError: the device is not there.
    """
    check_kept_features(recipe)
    check_effects(recipe)
    with held(directory), _room_told(directory):
        _train(recipe, directory, device, threads, observers, offline=offline, skip_bad=skip_bad)


def _train(
    recipe: Recipe,
    directory: Path,
    device: str,
    threads: int | None,
    observers: Sequence[Observer],
    *,
    offline: bool,
    skip_bad: bool,
) -> None:
    os.environ.setdefault(*_PRIMITIVES)
    accelerator = _accelerator(device)
    if threads is not None:
        torch.set_num_threads(threads)
    origin = None if recipe.init is None else _fetched(recipe.init, recipe.revision, offline=offline)
    start = None if origin is None else origin.directory
    if recipe.dev is None and (before := dev_of(directory)) is not None:
        log.info("dev is %s, by which the run has chosen until now", before)
        recipe = dataclasses.replace(recipe, dev=before)
    recipe = dataclasses.replace(
        recipe, family=_family(recipe, start), precision=_precision(recipe.precision, accelerator.device)
    )
    check_config(recipe)
    check_recordings(recipe)
    with accelerator.main_process_first():
        data = read_data(recipe, directory / "cache", skip_bad=skip_bad)
        task = make_task(recipe, data, start, skip_bad=skip_bad)
    if not task.lengths.size:
        raise UsageError("no clip of the training data can be trained on", hint="the messages above say why")
    model = _model(recipe, task, start, accelerator, directory / "cache", offline=offline)
    tell_masks(model.config, frame_count(int(task.lengths.max())))
    tell_short_course(recipe)
    observed: tuple[Observer, ...] = ()
    if accelerator.is_main_process:
        step = last_step(directory)
        observed = (
            MetricsLog(directory, step),
            *TensorBoardLog.where_installed(directory, step),
            *observers,
        )
    learned = map(data.train.digest, task.used.tolist())
    history = History(learned, map(data.dev.digest, range(len(data.dev))))
    with _memory_told(recipe):
        trainer = Trainer(recipe, model, task, directory, accelerator, history, observed)
        trainer.run()
    if accelerator.is_main_process:
        _finish(recipe, trainer, task, data, history, origin)
    if accelerator.num_processes > 1:
        # They take leave of each other. The model that sums gradients holds their group, whose threads must
        # have ended before the interpreter does.
        accelerator.free_memory()
    accelerator.end_training()


def _model(
    recipe: Recipe,
    task: CtcTask | ClassificationTask,
    start: Path | None,
    accelerator: Any,
    cache: Path,
    *,
    offline: bool,
) -> Model:
    """The model as it begins to learn; the task gets what it needs of it: a teacher, phones, features."""
    settle_cuda()
    torch.manual_seed(recipe.seed)
    encoder = None if recipe.feature_encoder is None else _local(recipe.feature_encoder, offline=offline)
    model = build_model(recipe, task.head, start, encoder)
    names = roles(task.speller.vocabulary) if isinstance(task, CtcTask) else tuple(task.labels)
    if start is None or take_head(model, start, recipe.task, names):
        task.prepare_head(model)
    if accelerator.device.type == "cpu":
        # the backward pass of torch's fused attention takes a third of an update there
        model.set_attn_implementation("eager")
    if recipe.consistency:
        check_readings(model.config)
    if recipe.teacher is not None and isinstance(task, CtcTask):
        task.learn_from(_local(recipe.teacher, offline=offline))
    parameters = sum(tensor.numel() for tensor in model.parameters())
    log.info("%s: %.2f M parameters, %d clips", recipe.name, parameters / 1e6, task.lengths.size)
    if isinstance(task, CtcTask):
        task.add_phone_head(model)
    source = encoder or start
    if recipe.keep_features and isinstance(task, CtcTask) and source is not None:
        with accelerator.main_process_first(), _memory_told(recipe):
            task.keep_features(model.to(accelerator.device), source, cache)
    return model


@contextmanager
def _memory_told(recipe: Recipe) -> Iterator[None]:
    """Say what to do where the memory is not enough (DeviceError)."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        half, twice = recipe.batch_seconds / 2, recipe.accumulate * 2
        raise DeviceError(
            f"not enough memory for a batch of {recipe.batch_seconds:g} s",
            hint=f"--set batch_seconds={half:g} --set accumulate={twice} makes updates of the same size",
        ) from error


@contextmanager
def _room_told(directory: Path) -> Iterator[None]:
    """Say where there is no more room, and how to go on (SewError)."""
    from safetensors import SafetensorError

    try:
        yield
    except InputError as error:
        if error.code != "no_space":
            raise
        # for the posteriors of a dev clip, which is no input of the command
        raise SewError(error.message, hint=error.hint, code=error.code) from error
    except (OSError, SafetensorError) as error:
        # the library for tensors gives the number of the error in its text alone
        number = error.errno if isinstance(error, OSError) else _ERROR_NUMBER.search(str(error))
        if isinstance(number, re.Match):
            number = int(number[1])
        if number not in _NO_ROOM:
            raise
        place = getattr(error, "filename", None) or directory
        raise SewError(
            f"no room for {place}: {os.strerror(number)}",
            hint="make some, and go on with --resume from what is there",
            code="no_space",
        ) from error


def _finish(
    recipe: Recipe,
    trainer: Trainer,
    task: CtcTask | ClassificationTask,
    data: Data,
    history: History,
    origin: LocalModel | None,
) -> None:
    """Export the chosen weights with their card and curves."""
    model, directory = trainer.model, trainer.directory
    chosen = load_checkpoint(directory, CHOSEN)
    assert chosen is not None  # the last update has an evaluation, which writes one
    model.load_state_dict(chosen["model"])
    PhoneLoss.remove(model)
    target = directory / "model"
    export(model, target, recipe.part_mib)
    if isinstance(task, CtcTask):
        write_spelling(recipe, task.speller, None if origin is None else origin.directory, target)
    if origin is not None:
        write_own(
            target, origin.spec if origin.spec.task in (None, recipe.task) else ModelSpec(), recipe.task
        )
    records = MetricsLog(directory).records()
    background = data.background[0] if data.background else None
    summary = DataSummary.of(data.train, task.used, background, data.manifests, history)
    write_card(target, recipe, model, summary, records, chosen["step"], origin)
    draw_curves(records, directory / "curves.png")
    log.info("the model is in %s: the weights of update %d", target, chosen["step"])


def _fetched(name: str, revision: str | None = None, *, offline: bool) -> LocalModel:
    """A model, fetched where it has to be."""
    local = fetch(resolve(name, revision=revision), offline=offline)
    keep_safetensors(local)
    return local


def _local(name: str, *, offline: bool) -> Path:
    """Its directory."""
    return _fetched(name, offline=offline).directory


def _accelerator(wanted: str) -> Any:
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    if wanted in ("auto", "cuda") and 0 < rank < torch.cuda.device_count():
        torch.cuda.set_device(rank)  # the card of this process is the one that is tried
    device = find_device(wanted)
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
    except ImportError as error:
        raise UsageError(
            "training needs accelerate, which is not installed", hint="pip install 'sewcli[train]'"
        ) from error
    if device.index is not None and device.type == "cuda":
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UsageError(f"--device {wanted} is one card for several processes", hint="use --device cuda")
        torch.cuda.set_device(device)
    # layerdrop leaves layers without a gradient
    spread = DistributedDataParallelKwargs(find_unused_parameters=True)
    # the others wait while the first decodes the data, computes features and evaluates
    waiting = InitProcessGroupKwargs(timeout=datetime.timedelta(days=1))
    # precision is the recipe's: accelerate allows one for the whole life of a process
    return Accelerator(mixed_precision="no", cpu=device.type == "cpu", kwargs_handlers=[spread, waiting])


def _precision(wanted: str, device: torch.device) -> str:
    """The precision asked for, or the faster one: processors without bfloat16 emulate it, slowly."""
    if wanted != "auto":
        return wanted
    native = multiplies_bfloat16_on(device) if device.type == "cuda" else multiplies_bfloat16()
    return "bf16" if native else "float32"


def _family(recipe: Recipe, start: Path | None) -> str:
    """The family asked for, else that of the model to start from, else SEW."""
    before = None if start is None else family_of(start, read_config(start))
    if recipe.family == "auto":
        return before or "sew"
    if (before, recipe.family) == ("sew-d", "sew"):
        raise ModelError(
            f"init: {start} is a SEW-D model, from which no SEW model can start",
            hint="a SEW model can become a SEW-D model, not the other way round",
            code="wrong_family",
        )
    return recipe.family

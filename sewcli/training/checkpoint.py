"""Checkpoints: the whole state of a run, written so that a kill at any moment leaves a good one.

A checkpoint is a directory, `state-STEP` or, for the weights that become the model, `chosen-STEP`: tensors in
safetensors files of limited size and `state.json` for the rest. It is written under a temporary name and
renamed when it is complete; only then are older ones removed. Of a step that has one `state.json` alone is
written anew. So there is always one that can be read.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import logging
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sewcli.atomic import replacing
from sewcli.errors import UsageError
from sewcli.locking import lock
from sewcli.training.recipe import Recipe

log = logging.getLogger("sewcli")

#: settings that decide which weights there are, what an optimiser keeps of them, and which are chosen
_MODEL_SETTINGS = {
    "task",
    "family",
    "config",
    "vocabulary",
    "optimizer",
    "freeze_feature_encoder",
    "freeze_layers",
    "choose",
}
#: beginnings of the keys of a configuration that concern training alone, beside dropout
_TRAINING_KEYS = ("mask_", "ctc_", "layerdrop", "apply_spec_augment")
_LOCK = ".lock"
#: in a checkpoint, all but its tensors
_PLAIN = "state.json"
#: what a checkpoint holds: all that a run needs to go on, or the averaged weights that become the model
STATE, CHOSEN = "state", "chosen"
_NAME = re.compile(rf"({STATE}|{CHOSEN})-\d+")
#: stands in state.json for a tensor that lies in the safetensors files under this key
_TENSOR = "$tensor"


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the directory of a run, which two trainings would spoil; all processes of one are one.

    Raises:
        UsageError: another training holds it.
    """
    if int(os.environ.get("RANK", "0")):
        yield
        return
    directory.mkdir(parents=True, exist_ok=True)
    found = lock(directory / _LOCK, "another training")
    try:
        yield
    finally:
        found.release()


def save_checkpoint(
    directory: Path, step: int, state: dict[str, Any], part_bytes: int, kind: str = STATE
) -> None:
    """Write the checkpoint of `step` and remove the others of its kind.

    The state of a run at a step has the same tensors whenever it is saved; what else it holds, as of dev, may
    have changed since.

    Args:
        directory: of the run.
        step: updates done.
        state: nested dictionaries and lists of tensors and of what JSON holds; keys are strings or numbers.
        part_bytes: size of a file of tensors; a larger tensor is a file of its own.
        kind: STATE for the whole state of the run, CHOSEN for weights alone.
    """
    from safetensors.torch import save_file

    target, temporary = directory / f"{kind}-{step:08d}", directory / f"{kind}.tmp"
    tensors: dict[str, torch.Tensor] = {}
    plain = json.dumps(_without_tensors(state, tensors, ""))
    if target.exists() and kind == STATE:
        if (target / _PLAIN).read_text() != plain:
            with replacing(target / _PLAIN) as changed:
                changed.write_text(plain)
                _to_disk(changed)
        return
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for number, part in enumerate(_parts(tensors, part_bytes)):
        file = temporary / f"part-{number:04d}.safetensors"
        save_file(part, file)
        _to_disk(file)
    (temporary / _PLAIN).write_text(plain)
    _to_disk(temporary / _PLAIN)
    replaced = directory / f"{kind}.old"
    if target.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        target.rename(replaced)
    temporary.rename(target)
    shutil.rmtree(replaced, ignore_errors=True)
    for older in _checkpoints(directory, kind):
        if older != target:
            shutil.rmtree(older)


def load_checkpoint(directory: Path, kind: str = STATE) -> dict[str, Any] | None:
    """The state of the newest checkpoint of a run, None where there is none.

    Raises:
        UsageError: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = _checkpoints(directory, kind)
    if not found:
        return None
    newest = found[-1]
    try:
        tensors: dict[str, torch.Tensor] = {}
        for file in sorted(newest.glob("part-*.safetensors")):
            tensors.update(load_file(file))
        state: dict[str, Any] = _with_tensors(json.loads((newest / _PLAIN).read_text()), tensors)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UsageError(
            f"the checkpoint {newest} is damaged: {error}",
            hint="remove it and start again, or copy it from where it was kept",
        ) from error
    return state


def last_step(directory: Path) -> int:
    """The update of the newest checkpoint of a run, 0 where there is none."""
    found = _checkpoints(directory, STATE)
    return int(found[-1].name.rpartition("-")[2]) if found else 0


def dev_of(directory: Path) -> Path | None:
    """The dev set that the run in a directory was given last, where there is one."""
    found = _checkpoints(directory, STATE)
    if not found:
        return None
    try:
        state = _with_tensors(json.loads((found[-1] / _PLAIN).read_text()), defaultdict(torch.Tensor))
        given = ast.literal_eval(_shown(state["recipe"]["dev"]))
    except (OSError, ValueError, KeyError, SyntaxError):
        return None  # whoever loads the checkpoint tells
    return None if given is None else Path(given)


def has_checkpoint(directory: Path, kind: str = STATE) -> bool:
    """Whether there is one; without that of the state a run cannot be resumed."""
    return bool(_checkpoints(directory, kind))


def _checkpoints(directory: Path, kind: str) -> list[Path]:
    """Complete checkpoints, oldest first; else the one that a killed run was about to replace."""
    found = sorted(path for path in directory.glob(f"{kind}-*") if _NAME.fullmatch(path.name))
    return found or [path for path in (directory / f"{kind}.old",) if path.is_dir()]


def _to_disk(file: Path) -> None:
    """Have the contents on the disk before the rename says that they are."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _without_tensors(value: Any, tensors: dict[str, torch.Tensor], place: str) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[place] = value.detach().cpu().contiguous()
        return {_TENSOR: place}
    if isinstance(value, dict):
        # JSON turns numbers into strings; the pair keeps the optimiser's keys numbers
        items = [[key, _without_tensors(item, tensors, f"{place}/{key}")] for key, item in value.items()]
        return {"$items": items}
    if isinstance(value, list | tuple):
        return [_without_tensors(item, tensors, f"{place}/{i}") for i, item in enumerate(value)]
    return value


def _with_tensors(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _with_tensors(item, tensors) for key, item in value["$items"]}
    if isinstance(value, list):
        return [_with_tensors(item, tensors) for item in value]
    return value


def _parts(tensors: dict[str, torch.Tensor], part_bytes: int) -> Iterator[dict[str, torch.Tensor]]:
    part: dict[str, torch.Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        more = tensor.numel() * tensor.element_size()
        if part and size + more > part_bytes:
            yield part
            part, size = {}, 0
        part[name] = tensor
        size += more
    if part:
        yield part


def settings_of(recipe: Recipe) -> dict[str, str]:
    """The settings of a recipe, as a checkpoint keeps them."""
    return {key: repr(value) for key, value in dataclasses.asdict(recipe).items()}


def check_same_run(state: dict[str, Any], recipe: Recipe, outputs: dict[str, Any], directory: Path) -> None:
    """Tell which settings are others than those of the run that is resumed.

    Args:
        state: of that run.
        recipe: of this one.
        outputs: of its task, see `Task`.
        directory: of both.

    Raises:
        UsageError: a setting or an output is another that decides which weights there are, or it has gone
            further than this one is to.
    """
    if not {"data", "dev", "losses"} <= state.keys():
        raise UsageError(
            f"the run in {directory} was begun by an older version of sew",
            hint="finish it with that one, or choose another -o",
        )
    _compare_settings(state["recipe"], settings_of(recipe), directory)
    if state["step"] > recipe.steps:
        raise UsageError(
            f"the run in {directory} has made {state['step']} updates, more than steps = {recipe.steps}",
            hint="choose more steps to go on, or another -o",
        )
    before = state["outputs"]
    if before != outputs:
        kinds = outputs.keys() | before.keys()
        other = ", ".join(sorted(kind for kind in kinds if before.get(kind) != outputs.get(kind)))
        raise UsageError(
            f"the run in {directory} has other {other} than its data give now",
            hint="resume it with the data it began with, or choose another -o",
        )


def _compare_settings(before: dict[str, str], now: dict[str, str], directory: Path) -> None:
    # what a setting that is new since then does where it is not set, the run did
    new = {key: value for key, value in settings_of(Recipe("", "", ())).items() if key not in before}
    before = before | new
    changed = sorted(key for key in now if now[key] != before[key])
    other = _MODEL_SETTINGS & set(changed)
    if (now["lexicon"] == "None") != (before["lexicon"] == "None"):
        other.add("lexicon")
    if _architecture(now["config"]) == _architecture(before["config"]):
        other -= {"config"}
    if other:
        raise UsageError(
            f"the run in {directory} is another one: {', '.join(sorted(other))} differ",
            hint="resume it with its own recipe, or choose another -o",
        )
    for key in changed:
        log.warning("%s is %s now; it was %s", key, _shown(now[key]), _shown(before[key]))


def _shown(value: str) -> str:
    """A value as `repr` writes it, its paths as they are."""
    return re.sub(r"(?:Posix|Windows|Pure\w*)Path\(('[^']*')\)", r"\1", value)


def _architecture(config: str) -> dict[str, Any]:
    """Of the configuration in a recipe, as `repr` writes it, what does not concern training alone."""
    settings: dict[str, Any] = ast.literal_eval(config)
    return {
        key: value
        for key, value in settings.items()
        if not key.startswith(_TRAINING_KEYS) and not key.endswith("dropout")
    }

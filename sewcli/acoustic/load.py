"""From a model's files to a network that runs: which engine, which device, which dtype."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.checkpoint import Checkpoint, inspect
from sewcli.acoustic.cuda import fault_of, multiplies_bfloat16_on, settle_cuda
from sewcli.acoustic.engine.config import NotCoveredError, engine_config
from sewcli.acoustic.failures import weights_failed
from sewcli.acoustic.pickled import keep_safetensors
from sewcli.acoustic.processor import multiplies_bfloat16
from sewcli.acoustic.running import RunningModel
from sewcli.errors import DeviceError, ModelError, UsageError
from sewcli.hub.fetching import LocalModel

_log = logging.getLogger("sewcli")

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: of the fast engine on a CPU
INT8 = "int8"
#: the process that has loaded a model for several threads, which its forks have not
_THREADED: set[int] = set()
ENGINES = ("auto", "fast", "reference")


def load_model(
    local: LocalModel,
    task: str,
    *,
    engine: str = "auto",
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    compiled: bool = False,
) -> RunningModel:
    """Load a model for `task` ("ctc", "classification" or "features").

    Args:
        local: where its files are.
        engine: "fast" is the project's own, "reference" transformers; "auto" takes fast where it covers
            the model, and says so in the log where it does not.
        device: "auto" takes CUDA where there is a card that can be used.
        dtype: "auto" is float32; "int8" is for the fast engine on a CPU.
        threads: CPU threads of the network; torch's own choice when None.
        compiled: let torch.compile make the attention of SEW-D, on a GPU; elsewhere a warning says that it
            has no effect.

    Raises:
        ModelError: the directory does not hold such a model, or the fast engine does not cover it.
        DeviceError: the device is not there, or cannot be used.
        UsageError: an unknown engine, device or dtype; or a fork of a process that has loaded a model.
    """
    _check(engine, dtype, threads)
    keep_safetensors(local)
    started = time.monotonic()
    checkpoint = inspect(local.directory, task)
    if threads is not None:
        torch.set_num_threads(threads)
    if _THREADED and os.getpid() not in _THREADED and torch.get_num_threads() > 1:
        raise UsageError(
            "this process was forked from one that has loaded a model for several threads, which it has not",
            hint="start it by spawn, load no model before the fork, or load with threads=1",
        )
    settle_cuda()
    place = find_device(device)
    if place.type == "cuda":
        if place.index is None:
            # by its number: which card is the current one differs from thread to thread
            place = torch.device("cuda", torch.cuda.current_device())  # type: ignore[unreachable]
        if dtype == "bfloat16" and not multiplies_bfloat16_on(place):
            _log.warning("%s has no bfloat16 and emulates it, slowly: --dtype float16 is faster", place)
    if place.type == "cpu" and dtype in ("bfloat16", "float16") and not multiplies_bfloat16():
        # 5 to 7 times as long as float32 on a Zen 3
        _log.warning("this processor has no %s and emulates it, slowly: --dtype float32 is faster", dtype)
    if dtype == INT8 and place.type != "cpu":
        raise UsageError(f"int8 is for CPUs, not for {place}", hint="--dtype bfloat16, or --device cpu")
    model = _made(checkpoint, local, engine, place, dtype, compiled=compiled)
    if torch.get_num_threads() > 1:
        _THREADED.add(os.getpid())
    _tell(model, local, started, compiled=compiled)
    return model


def _made(
    checkpoint: Checkpoint, local: LocalModel, engine: str, place: torch.device, dtype: str, *, compiled: bool
) -> RunningModel:
    """The model by an engine, see `load_model`."""
    if engine != "reference":
        try:
            return _fast(checkpoint, place, dtype, compiled=compiled)
        except NotCoveredError as reason:
            if engine == "fast" or dtype == INT8:
                instead = "--engine reference" + (" --dtype float32" if dtype == INT8 else "")
                raise ModelError(
                    f"the fast engine does not run {local.directory}: {reason}",
                    hint=f"use {instead}",
                    code="not_covered",
                ) from reason
            _log.info("%s runs on transformers, not on the fast engine: %s", local.spec.name, reason)
    from sewcli.acoustic.reference import TransformersModel

    kind = DTYPES.get(dtype, torch.float32)
    return TransformersModel(checkpoint, place, kind)


def _check(engine: str, dtype: str, threads: int | None) -> None:
    """Refuse what no model and no device can run with (UsageError)."""
    if threads is not None and threads < 1:
        raise UsageError(f"threads={threads}: at least one is needed")
    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}", hint=f"one of {', '.join(ENGINES)}")
    if dtype not in ("auto", *DTYPES, INT8):
        raise UsageError(f"unknown dtype {dtype!r}", hint=f"one of auto, {', '.join(DTYPES)}, {INT8}")
    if dtype == INT8 and engine == "reference":
        raise UsageError("transformers does not run in int8", hint="--dtype bfloat16, or --engine fast")


def _tell(model: RunningModel, local: LocalModel, started: float, *, compiled: bool) -> None:
    """Tell of the model: a line for --verbose, and one on `compiled` where that is idle."""
    fits = model.engine == "fast" and model.device.startswith("cuda") and model.checkpoint.family == "sew-d"
    if compiled and not fits:
        _log.warning("--compile has no effect: it is for the attention of SEW-D in the fast engine, on a GPU")
    _log.debug(
        "%s (%s%s): %s engine on %s in %s, %d threads, loaded in %.2f s",
        local.spec.name,
        f"revision {local.revision}, " if local.revision else "",
        local.directory,
        model.engine,
        model.device,
        model.dtype,
        torch.get_num_threads(),
        time.monotonic() - started,
    )


def _fast(checkpoint: Checkpoint, device: torch.device, dtype: str, *, compiled: bool) -> RunningModel:
    if device.type == "mps":
        raise NotCoveredError("device mps")
    config = engine_config(checkpoint)
    from sewcli.acoustic.engine.fast import FastModel
    from sewcli.acoustic.engine.int8 import values_dtype

    int8 = dtype == INT8
    kind = values_dtype() if int8 else DTYPES.get(dtype, torch.float32)
    try:
        return FastModel(checkpoint, config, device, kind, compiled=compiled, int8=int8)
    except (RuntimeError, MemoryError) as error:
        if failure := weights_failed(checkpoint.directory, device, error):
            raise failure from error
        raise


def load_convolutions(directory: Path, dtype: torch.dtype) -> Callable[[Batch], torch.Tensor] | None:
    """The convolutions of a model alone, by the fast engine on the CPU: a batch -> (B, frames, channels).

    None where the fast engine does not run the model.

    On a Xeon with AMX, clips of 4 s, 1.3 to 2.2 times as fast as those of transformers in float32 and 3 to 4
    times in bfloat16.

    Raises:
        ModelError: the directory holds no SEW model, or one that lacks weights of them.
    """
    checkpoint = inspect(directory, "features")
    try:
        config = engine_config(checkpoint)
    except NotCoveredError as reason:
        _log.info("the convolutions of %s run on transformers: %s", directory, reason)
        return None
    from sewcli.acoustic.engine.convolutions import FeatureExtractor
    from sewcli.acoustic.engine.operators import find_operators
    from sewcli.acoustic.engine.weights import Weights

    place = torch.device("cpu")
    weights = Weights(checkpoint, place, dtype)
    extractor = FeatureExtractor(config, weights, find_operators(place, dtype))
    weights.finish(part=True)
    return extractor


def find_device(name: str) -> torch.device:
    """The torch device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        DeviceError: it is not there, or cannot be used. UsageError: there is no such kind of device.
    """
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        if fault := fault_of(torch.device("cuda")):
            _log.warning("the GPU cannot be used (%s): the CPU is", fault)
            return torch.device("cpu")
        return torch.device("cuda")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}", hint="auto, cpu, cuda, cuda:N or mps") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"sew does not run on {name!r}", hint="auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"torch sees {torch.cuda.device_count()} CUDA devices"
        raise DeviceError(f"no device {name}: {found}", hint="use --device cpu", code="no_device")
    if device.type == "cuda" and (fault := fault_of(device)):
        raise DeviceError(
            f"device {name} cannot be used: {fault}",
            hint="use --device cpu; a torch for this card and driver is needed, see `sew doctor`",
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("no device mps on this machine", hint="use --device cpu", code="no_device")
    return device

"""Models from Python: `sewcli.load(...).transcribe(...)`.

The commands of `sew` are made of the same parts: `sewcli.tasks` below, options and output above.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Unpack

from sewcli.acoustic.checkpoint import declared_task
from sewcli.api.inputs import Place, any_file, ended_at_exit, listed, only
from sewcli.api.model import METHODS, Model
from sewcli.api.options import DecodeOptions, checked_options, decoding_options, is_kind
from sewcli.errors import UsageError
from sewcli.hub.fetching import fetch
from sewcli.hub.offline import set_offline
from sewcli.registry import load_registry, resolve
from sewcli.results import Failure, Transcript
from sewcli.writers import Result
from sewcli.writers.jsonl import as_object

__all__ = ["Model", "decode", "decode_many", "load", "to_dict"]


def load(
    model: Place | None = None,
    *,
    task: Literal["ctc", "classification", "features"] | None = None,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    engine: str | None = None,
    compiled: bool = False,
    offline: bool = False,
    progress: bool = True,
) -> Model:
    """Load a model.

    Args:
        model: alias, directory or hub repository; by default that of the task, or of transcribing.
        task: what for: "ctc" (transcribing, aligning), "classification", or "features" (hidden states, which
            any model has); by default what it is made for.
        revision: branch, tag or commit of a hub model.
        device: "auto" (the default), "cpu", "cuda", "cuda:N" or "mps".
        dtype: "auto" (the default: float32), "float32", "bfloat16", "float16", or "int8" (fast engine, CPU).
        threads: CPU threads of torch, for this thread and those that use torch for the first time later.
        engine: "auto" (the default), "fast" or "reference"; attentions come from the reference alone.
        compiled: compile the attention of SEW-D for the GPU.
        offline: use no network, for the rest of the process.
        progress: progress bars of a download, where standard error is a terminal.

    Raises:
        ModelError: it is not available, damaged, or not for this task.
        DeviceError: the device is not there. UsageError: an argument is wrong.
    """
    if threads is not None and not is_kind(threads, int):
        raise UsageError(f"threads={threads!r}: a whole number is needed")
    if offline:
        set_offline()
    registry = load_registry()
    if task is not None and task not in METHODS:
        raise UsageError(f"task={task!r}", hint=f"one of {', '.join(METHODS)}")
    name = registry.default_model(task or "ctc").name if model is None else os.fspath(model)
    local = fetch(resolve(name, registry=registry, revision=revision), offline=offline, progress=progress)
    found = task or declared_task(local.directory) or local.spec.task or "ctc"
    from sewcli.acoustic.load import load_model

    network = load_model(
        local,
        found,
        engine=engine or "auto",
        device=device or "auto",
        dtype=dtype or "auto",
        threads=threads,
        compiled=compiled,
    )
    return Model(local, network, found)


def decode(logits: Place, **options: Unpack[DecodeOptions]) -> Transcript:
    """Decode saved logits again, without model and recording.

    Args:
        logits: a file that `Model.transcribe(save_logits=...)` or `sew transcribe --save-logits` has written.
        options: see `DecodeOptions`.

    Raises:
        AudioError: the file cannot be read. UsageError: an option is wrong.
    """
    options.setdefault("decode_workers", 0)
    return only(decode_many([logits], **options))


def decode_many(logits: Iterable[Place], **options: Unpack[DecodeOptions]) -> Iterator[Transcript | Failure]:
    """Decode files of saved logits, one result for each, in order; see `decode`."""
    from sewcli.tasks.decoding import Decoding

    options = checked_options(options, DecodeOptions)
    times, workers = options.get("timestamps", "word"), options.get("decode_workers")
    task = Decoding(decoding_options(options), times, decode_workers=workers)
    return ended_at_exit(task.results(map(any_file, listed(logits))))


def to_dict(result: Result) -> dict[str, Any]:
    """A result as `-f json` writes it, of numbers, strings, lists and dictionaries; see `sew schema`."""
    return as_object(result)

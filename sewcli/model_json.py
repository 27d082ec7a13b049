"""sew.json in a model directory: what an entry of models.toml would say of the model.

`sew train` writes it, so that a model that starts from another is used as that one is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sewcli.json_files import read_object
from sewcli.model_defaults import OptionDefaults
from sewcli.models_toml import OFFSET_KEYS, TASKS, ModelSpec, bad_registry, read_offset, read_option_defaults

FILE = "sew.json"
_KEYS = {"task", *OFFSET_KEYS, *OptionDefaults.names()}


def with_own(spec: ModelSpec) -> ModelSpec:
    """A specification with what the model's directory says where it says nothing itself.

    Raises:
        ModelError: the file cannot be read, or has a key or a value that means nothing here.
    """
    if spec.path is None or spec.embedded:
        return spec
    file = spec.path / FILE
    try:
        content = read_object(file)
    except (FileNotFoundError, NotADirectoryError):
        return spec
    except (OSError, ValueError) as error:
        raise bad_registry(file, f"cannot be read: {error}") from error
    if unknown := sorted(content.keys() - _KEYS):
        raise bad_registry(file, f"unknown key {unknown[0]!r} (there are {', '.join(sorted(_KEYS))})")
    if content.get("task") not in (None, *TASKS):
        raise bad_registry(file, f"task is {content['task']!r}, not one of {', '.join(TASKS)}")
    where = FILE
    own = asdict(read_option_defaults(content, file, where))
    given = {name: value for name, value in asdict(spec.defaults).items() if value is not None}
    return replace(
        spec,
        # an alias says itself whether its defaults are for one task or for all
        task=content.get("task") if spec.alias is None else spec.task,
        defaults=OptionDefaults(**{**own, **given}),
        start_offset=spec.start_offset or read_offset(content, "start_offset", file, where),
        end_offset=spec.end_offset or read_offset(content, "end_offset", file, where),
    )


def write_own(directory: Path, spec: ModelSpec, task: str) -> None:
    """Write what a model takes over from the one it started from: chunks and the bias of its times."""
    content: Mapping[str, Any] = {
        "chunk": spec.defaults.chunk,
        "stride": spec.defaults.stride,
        "start_offset": spec.start_offset or None,
        "end_offset": spec.end_offset or None,
    }
    content = {key: value for key, value in content.items() if value is not None}
    file = directory / FILE
    if content:
        file.write_text(json.dumps({"task": task, **content}, indent=2) + "\n", encoding="utf-8")
    else:
        file.unlink(missing_ok=True)

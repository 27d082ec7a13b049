"""The files of a model directory: config.json and the rest, and the names of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sewcli.errors import ModelError
from sewcli.hub.cache import PICKLED
from sewcli.json_files import read_object


def read_config(directory: Path) -> dict[str, Any]:
    """The config.json of a model directory (ModelError where there is none or it cannot be read)."""
    return read_json(directory / "config.json")


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object (ModelError where there is none)."""
    try:
        return read_object(file)
    except FileNotFoundError as error:
        raise ModelError(
            f"{file.parent} has no {file.name}: not a model directory", code="damaged_model"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}", code="damaged_model") from error


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files that transformers would load: other files beside them are none of the model.

    Raises:
        ModelError: their index is damaged.
    """
    whole, index = directory / "model.safetensors", directory / "model.safetensors.index.json"
    if whole.exists():
        return [whole]
    if not index.exists():
        return []
    parts = read_json(index).get("weight_map")
    if not isinstance(parts, dict) or not parts:
        raise damaged(index, ValueError("it names no weights"))
    return [directory / name for name in sorted(set(map(str, parts.values())))]


def loaded_files(directory: Path) -> list[Path]:
    """The files of a model that can change what it gives: all JSON, as of its vocabulary, and its weights.

    Raises:
        ModelError: the index of its weights is damaged.
    """
    weights = weight_files(directory) or [directory / PICKLED]
    return [file for file in (*sorted(directory.glob("*.json")), *weights) if file.is_file()]


def weight_names(directory: Path) -> set[str] | None:
    """Names of the tensors in the directory's safetensors files; None if it holds only a pickle.

    Raises:
        ModelError: no weights at all, or damaged ones.
    """
    from safetensors import SafetensorError, safe_open

    files = weight_files(directory)
    if not files:
        if (directory / PICKLED).exists():
            return None
        raise ModelError(
            f"{directory} has no weights: neither model.safetensors nor {PICKLED}",
            code="damaged_model",
        )
    names: set[str] = set()
    for file in files:
        try:
            with safe_open(file, framework="numpy") as tensors:
                names.update(tensors.keys())
        except (SafetensorError, OSError) as error:
            raise damaged(file, error) from error
    return names


#: characters of what a library says
_MOST_OF_A_REASON = 300


def damaged(file: Path, error: Exception) -> ModelError:
    """The error for weights that cannot be read."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if len(reason) > _MOST_OF_A_REASON:
        reason = f"{reason[:_MOST_OF_A_REASON]}..."
    return ModelError(
        f"{file} is damaged: {reason}",
        hint="fetch the model again",
        code="damaged_model",
    )

"""Weights that a repository has in pickle format only, made into safetensors.

A pickle can run anything when it is loaded. torch reads these with weights_only, which builds tensors and
plain containers and refuses all else.
"""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

from sewcli.acoustic.files import damaged
from sewcli.atomic import replacing
from sewcli.errors import ModelError
from sewcli.hub.cache import PICKLED, WEIGHTS, is_pickled
from sewcli.hub.fetching import LocalModel

_log = logging.getLogger("sewcli")


def keep_safetensors(local: LocalModel) -> None:
    """Put a safetensors copy beside the pickle of a hub model, once; a cache that is read-only stays so.

    Raises:
        ModelError: the pickle is damaged or holds more than tensors.
    """
    if local.spec.repo is None or not is_pickled(local.directory):
        return
    tensors = read_pickle(local.directory / PICKLED)
    try:
        write_safetensors(tensors, local.directory / WEIGHTS)
    except OSError as error:
        _log.info("no safetensors copy kept in %s: %s", local.directory, error.strerror or error)
    else:
        _log.info("%s: its weights are a pickle; a safetensors copy lies beside it now", local.spec.name)


def read_pickle(file: Path) -> dict[str, Any]:
    """The tensors of a pytorch_model.bin by name, mapped where its format allows that.

    Raises:
        ModelError: it is damaged, or holds anything but tensors.
    """
    import torch

    try:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # written by torch before 1.6, whose format cannot be mapped
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _more_than_tensors(file) from error
    except Exception as error:
        # whatever a cut or foreign file makes torch raise
        raise damaged(file, error) from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()
    ):
        raise _more_than_tensors(file)
    return content


def _more_than_tensors(file: Path) -> ModelError:
    return ModelError(
        f"{file} is damaged, or holds more than tensors by name, which sew does not load",
        hint="fetch it again, or save the model anew with save_pretrained of transformers",
        code="pickle",
    )


def write_safetensors(tensors: dict[str, Any], target: Path) -> None:
    """Write tensors to a file that is there in full or not at all (OSError where it cannot be)."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    seen: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        # a safetensors file has no two names for one tensor
        own[name] = tensor.clone() if place in seen else tensor.contiguous()
        seen.add(place)
    try:
        with replacing(target) as temporary:
            save_file(own, temporary, metadata={"format": "pt"})
    except SafetensorError as error:  # which is also what a full disk becomes
        raise OSError(str(error)) from error

"""The weights of a checkpoint, mapped from its files and taken by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sewcli.acoustic.checkpoint import Checkpoint, check_names
from sewcli.acoustic.files import damaged, weight_files
from sewcli.acoustic.pickled import read_pickle
from sewcli.hub.cache import PICKLED

#: of the base model inside a model with a head
_PREFIXES = {"sew": "sew.", "sew-d": "sew_d."}
#: elements of a tensor that is not worth packing
_SMALL = 1 << 16


class Weights:
    """Tensors by the names transformers gives them, without the prefix of the base model.

    Names and shapes are those the network asks for: `finish` refuses a checkpoint that lacks some,
    or has others the network has no place for.

    Args:
        checkpoint: a directory that `inspect` has passed.
        device: where the tensors go.
        dtype: of the tensors that `take` returns.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self._checkpoint = checkpoint
        self._prefix = _PREFIXES[checkpoint.family]
        self._readers = _readers(checkpoint.directory)
        # a base model saved alone has no prefix
        self._prefixed = any(name.startswith(self._prefix) for name in self._readers)
        self._taken: set[str] = set()
        self._missing: set[str] = set()

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """The tensor of that name in the engine's dtype; zeros, until `finish`, if it is not there.

        Raises:
            ModelError: it has another shape than the configuration says, or cannot be read.
        """
        return self.take_float32(name, *shape).to(self.dtype)

    def take_float32(self, name: str, *shape: int) -> torch.Tensor:
        """The same in float32, whatever the engine's dtype."""
        full = self._full(name)
        self._taken.add(full)
        if full not in self._readers:
            self._missing.add(full)
            return torch.zeros(shape, device=self.device)
        try:
            tensor = self._readers[full]()
        except Exception as error:
            raise damaged(self._checkpoint.directory, error) from error
        if tuple(tensor.shape) != shape:
            reason = f"{full} has the shape {list(tensor.shape)}, its config.json says {list(shape)}"
            raise damaged(self._checkpoint.directory, ValueError(reason))
        own = tensor.to(self.device, torch.float32)
        # a mapped tensor lies anywhere, and some kernels round by where it lies: what is small is copied
        # to memory that is aligned, what is large will be packed
        return own.clone() if own.numel() <= _SMALL else own

    def holds(self, name: str) -> bool:
        """Whether there is a tensor of that name."""
        return self._full(name) in self._readers

    def finish(self, *, part: bool = False) -> None:
        """Refuse a checkpoint whose names are not those that were taken; close its files.

        Args:
            part: the network is a part of the model: names it has no place for are the others'.

        Raises:
            ModelError: weights are missing, or there are some that have no place.
        """
        more = set() if part else set(self._readers) - self._taken
        check_names(self._checkpoint, self._missing, more)
        self._readers = {}

    def _full(self, name: str) -> str:
        head = name.split(".", maxsplit=1)[0] in ("lm_head", "projector", "classifier")
        return name if head or not self._prefixed else self._prefix + name


def read_tensors(directory: Path, names: set[str]) -> dict[str, torch.Tensor]:
    """Those tensors of a model directory that are there, by name.

    Raises:
        ModelError: a file is damaged or missing.
    """
    readers = _readers(directory)
    try:
        return {name: readers[name]() for name in names & readers.keys()}
    except Exception as error:
        raise damaged(directory, error) from error


def _readers(directory: Path) -> dict[str, Callable[[], torch.Tensor]]:
    """How each tensor of a directory is read; the files are mapped, not loaded."""
    from safetensors import safe_open

    readers: dict[str, Callable[[], torch.Tensor]] = {}
    files = weight_files(directory)
    for file in files:
        try:
            opened: Any = safe_open(file, framework="pt")
            readers.update({name: partial(opened.get_tensor, name) for name in opened.keys()})  # noqa: SIM118
        except Exception as error:
            raise damaged(file, error) from error
    if files:
        return readers
    pickled = directory / PICKLED
    tensors = read_pickle(pickled)
    return {name: partial(tensors.__getitem__, name) for name in tensors}

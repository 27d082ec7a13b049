"""Copies between the memory of the host and that of a device, beside the computing where the device can."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.cuda import first_line
from sewcli.acoustic.failures import is_of_device

_log = logging.getLogger("sewcli")


def pinned(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the host in memory that never moves, where the system gives any; else as it is."""
    try:
        return tensor.pin_memory()
    except RuntimeError as error:
        if is_of_device(error):
            raise
        return tensor  # its copy to the card is waited for


class Copied(Protocol):
    """A tensor on its way to the host."""

    def ready(self) -> bool:
        """Whether `array` would not wait."""

    def array(self) -> NDArray[np.float32]:
        """The tensor, once it is there."""


class Transfers:
    """Copies to and from a device: at once, but for CUDA, whose copies are queued and not waited for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    @classmethod
    def of(cls, device: torch.device) -> Transfers:
        """Those that suit the device."""
        return CudaTransfers(device) if device.type == "cuda" else cls(device)

    def empty(self, shape: tuple[int, ...], /, *, dtype: torch.dtype) -> torch.Tensor:
        """A tensor on the host, for a batch that goes to the device."""
        return torch.empty(shape, dtype=dtype)

    def to_device(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """The batch on the device, its samples in `dtype`."""
        return batch.to(self._device, dtype)

    def to_host(self, tensor: torch.Tensor) -> Copied:
        """The tensor in float32 on the host, now or later."""
        return _AtOnce(tensor.float().cpu().numpy())


class CudaTransfers(Transfers):
    """Copies by the card itself: a batch goes up while the one before it is computed."""

    def __init__(self, device: torch.device) -> None:
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # with its number: "cuda" alone is the current card, which differs from thread to thread
        super().__init__(stream.device)
        self._stream = stream
        self._pinned = True

    def empty(self, shape: tuple[int, ...], /, *, dtype: torch.dtype) -> torch.Tensor:
        """See `Transfers`; in memory that never moves, from which a card copies by itself.

        Where the system gives no more of that, which containers limit, copies are waited for.
        """
        if self._pinned:
            try:
                return torch.empty(shape, dtype=dtype, pin_memory=True)
            except RuntimeError as error:
                if is_of_device(error):
                    raise
                self._pinned = False
                _log.warning("no pinned memory, which makes copies slower: %s", first_line(error))
        return torch.empty(shape, dtype=dtype)

    def to_device(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """See `Transfers`; what computes on the current stream waits for the copy, this thread does not."""
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            moved = batch.to(self._device, non_blocking=True)
        computing.wait_stream(self._stream)
        for field in fields(moved):
            value = getattr(moved, field.name)
            if isinstance(value, torch.Tensor):
                # allocated on the stream of the copies: not to be given away while the other still reads it
                value.record_stream(computing)
        return replace(moved, samples=moved.samples.to(dtype))

    def to_host(self, tensor: torch.Tensor) -> Copied:
        """See `Transfers`."""
        host = self.empty(tuple(tensor.shape), dtype=torch.float32)
        host.copy_(tensor.float(), non_blocking=True)
        # who waits for it sleeps: the cores are for those that decode
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self._device))
        return _Later(host, done)


class _AtOnce:
    def __init__(self, array: NDArray[np.float32]) -> None:
        self._array = array

    def ready(self) -> bool:
        return True

    def array(self) -> NDArray[np.float32]:
        return self._array


class _Later:
    def __init__(self, host: torch.Tensor, done: torch.cuda.Event) -> None:
        self._host, self._done = host, done

    def ready(self) -> bool:
        return bool(self._done.query())  # type: ignore[no-untyped-call]

    def array(self) -> NDArray[np.float32]:
        self._done.synchronize()
        array: NDArray[np.float32] = self._host.numpy()
        return array

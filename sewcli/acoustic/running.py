"""What every engine does around its forward pass: batches, lack of memory, logits that are numbers."""

from __future__ import annotations

import functools
import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.budget import Room
from sewcli.acoustic.checkpoint import Checkpoint
from sewcli.acoustic.cuda import first_line
from sewcli.acoustic.failures import device_failed, is_of_device, is_out_of_memory
from sewcli.acoustic.lanes import in_lane
from sewcli.acoustic.model import Attending, PartlyRunError, Segment, Underway
from sewcli.acoustic.statistics import wave_statistics
from sewcli.acoustic.transfers import Copied, Transfers
from sewcli.chunking import MIN_SAMPLES, PAIR, SAMPLE_RATE, kept_frame_count
from sewcli.errors import DeviceError, ModelError, UsageError


class RunningModel(ABC):
    """An `AcousticModel` whose subclass supplies the forward pass.

    Attributes:
        engine: name of the engine.
        head_bias: see `AcousticModel`; the subclass sets it.
        layers: of the context network; the subclass sets it.
        room: for batches in the memory of the device.

    Args:
        checkpoint: a directory that `inspect` has passed.
        labels: class names in the order of the logits (classification).
        columns: width of the logits.
        device: where batches run.
        dtype: of weights and activations.
        samples_dtype: of the samples that `forward` is given.
    """

    engine: str
    head_bias: NDArray[np.float32]
    layers: int
    _layer: int | None = None

    def __init__(
        self,
        checkpoint: Checkpoint,
        labels: tuple[str, ...],
        columns: int,
        device: torch.device,
        dtype: torch.dtype,
        samples_dtype: torch.dtype,
    ) -> None:
        self.checkpoint = checkpoint
        self.labels = labels
        self.columns = columns
        self.device = str(device)
        self.dtype = str(dtype).removeprefix("torch.")
        self.room = Room()
        #: whether it has given numbers
        self._is_sound = False
        self._device = device
        self._samples_dtype = samples_dtype
        self._transfers = Transfers.of(device)
        self._process = os.getpid()

    @abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits of a batch on the device: (B, frames, columns), or (B, columns) for classification."""

    @property
    def most_seconds(self) -> float:
        """See `sewcli.acoustic.model.Starting`."""
        return self.room.seconds

    @property
    def lanes(self) -> int:
        """See `sewcli.acoustic.model.Starting`; a forward pass that keeps notes in the model has one."""
        return 1

    def least_frames(self, samples: int) -> int:  # noqa: ARG002
        """How wide a batch is at least whose longest row has so many samples; an even number."""
        return PAIR

    def giving(self, layer: int | None, *, attentions: bool = False) -> Self:
        """This model, made to give the hidden states of one layer, or attentions too (features).

        Args:
            layer: 0 for the input of the first layer, n for the output of layer n; None is
                last_hidden_state. A layer has one state for two frames, which stands in both rows.
            attentions: keep the attention weights of all layers for `Attending.take_attentions`.

        Raises:
            UsageError: there is no such layer, or the engine never holds attentions.
        """
        if layer is not None and not 0 <= layer <= self.layers:
            raise UsageError(
                f"layer {layer}: the model has the hidden states 0 to {self.layers}",
                hint="0 is what the first layer reads; last_hidden_state is the default",
            )
        if attentions and not isinstance(self, Attending):
            raise UsageError(
                f"attentions come from transformers, not from the {self.engine} engine",
                hint='--engine reference, or load(..., engine="reference")',
            )
        other = copy(self)
        other._layer = layer
        return other

    def __call__(self, segments: Sequence[Segment]) -> list[NDArray[np.float32]]:
        """See `AcousticModel`; a batch that does not fit the memory is run in halves."""
        self._check_process()
        return self._within_memory(segments).result()

    def start(self, segments: Sequence[Segment], *, beside: bool = False) -> Underway:
        """See `sewcli.acoustic.model.Starting`; a batch that does not fit the memory is run in halves."""
        self._check_process()
        if beside and self.lanes > 1:
            return in_lane(functools.partial(self, segments))
        return self._within_memory(segments)

    def _check_process(self) -> None:
        """Refuse to run in a forked process (UsageError).

        torch would wait for threads that are not there, and CUDA does not start a second time.
        """
        if os.getpid() != self._process and (torch.get_num_threads() > 1 or self._device.type == "cuda"):
            raise UsageError(
                "the model was loaded before this process was forked, which has not its threads and its card",
                hint="start processes by spawn, or load no model before the fork",
            )

    @torch.inference_mode()
    def _within_memory(self, segments: Sequence[Segment]) -> Underway:
        """Begin a batch, in halves where it does not fit the memory."""
        padded = len(segments) * max(segment.samples.size for segment in segments) / SAMPLE_RATE
        if len(segments) > 1 and padded > self.most_seconds:
            return self._halves(segments)
        try:
            underway = self._begin(segments)
        except (RuntimeError, MemoryError) as error:
            if is_of_device(error):
                raise device_failed(self.device, error) from error
            if not is_out_of_memory(error):
                raise
            if len(segments) == 1:
                seconds = segments[0].samples.size / SAMPLE_RATE
                # whoever keeps the error, to try something else, keeps no tensors
                traceback.clear_frames(error.__traceback__)
                raise DeviceError(
                    f"out of memory on {self.device} for one piece of {seconds:.1f} s: {first_line(error)}",
                    hint="use shorter pieces (--chunk), --dtype bfloat16 or another --device",
                ) from error
        else:
            self.room.fitted(padded)
            return underway
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self.room.overflowed(padded)
        return self._halves(segments)

    def _halves(self, segments: Sequence[Segment]) -> Underway:
        """Begin a batch as two."""
        half = len(segments) // 2
        first = self._within_memory(segments[:half])
        try:
            return _Halves(first, self._within_memory(segments[half:]))
        except DeviceError as error:
            return _Halves(first, _Failed(error))

    def _begin(self, segments: Sequence[Segment]) -> Underway:
        """Begin a batch as it is."""
        if any(segment.samples.size < MIN_SAMPLES for segment in segments):
            raise ValueError(f"a segment has fewer than {MIN_SAMPLES} samples")
        counts = None if self.labels else [kept_frame_count(segment.samples.size) for segment in segments]
        return _Running(self, self._logits(segments), counts)

    def _logits(self, segments: Sequence[Segment]) -> Copied:
        batch = make_batch(
            [segment.samples for segment in segments],
            [segment.statistics for segment in segments],
            normalize=self.checkpoint.normalize,
            least_frames=self.least_frames(max(segment.samples.size for segment in segments)),
            empty=self._transfers.empty,
        )
        return self._transfers.to_host(self.forward(self._transfers.to_device(batch, self._samples_dtype)))

    def check_sound(self, rows: Sequence[NDArray[np.float32]]) -> None:
        """Refuse a model whose logits are never numbers (ModelError).

        One that gives numbers for others, or else for a second of noise, has met an odd recording: that one
        fails alone (`sewcli.acoustic.model.check_finite`), wherever it stands in a run.
        """
        if self._is_sound:
            return
        finite = [bool(np.isfinite(row).all()) for row in rows]
        self._is_sound = any(finite) or self._hears_noise()
        if not self._is_sound:
            raise ModelError(
                f"{self.checkpoint.directory} gives logits that are not numbers in {self.dtype}",
                hint="use --dtype float32; if it is that already, the weights are damaged",
                code="not_finite",
            )

    @torch.inference_mode()
    def _hears_noise(self) -> bool:
        """Whether it gives numbers for a second of noise."""
        noise = np.random.default_rng(0).normal(0.0, 0.1, SAMPLE_RATE).astype(np.float32)
        try:
            logits = self._logits([Segment(noise, wave_statistics(noise))]).array()
        except (RuntimeError, MemoryError) as error:
            if is_of_device(error) or is_out_of_memory(error):
                raise device_failed(self.device, error) from error
            raise
        return bool(np.isfinite(logits).all())


class _Uncancellable:
    """A batch that is past giving up."""

    def cancel(self) -> None:
        """Nothing."""


class _Running(_Uncancellable):
    """A batch whose logits are on their way to the host.

    Args:
        model: that runs it.
        logits: (B, frames, columns), or (B, columns) where `counts` is None.
        counts: frames of each row that are its own.
    """

    def __init__(self, model: RunningModel, logits: Copied, counts: Sequence[int] | None) -> None:
        self._model, self._logits, self._counts = model, logits, counts

    def ready(self) -> bool:
        try:
            return self._logits.ready()
        except RuntimeError:
            return True  # of the card: `result` tells

    def result(self) -> list[NDArray[np.float32]]:
        try:
            rows = list(self._logits.array())
        except RuntimeError as error:
            if not (is_of_device(error) or is_out_of_memory(error)):
                raise
            raise device_failed(self._model.device, error) from error
        if self._counts is not None:
            rows = [row[:count] for row, count in zip(rows, self._counts, strict=True)]
        self._model.check_sound(rows)
        return rows


class _Halves(_Uncancellable):
    """A batch that ran as two."""

    def __init__(self, first: Underway, second: Underway) -> None:
        self._first, self._second = first, second

    def ready(self) -> bool:
        return self._first.ready() and self._second.ready()

    def result(self) -> list[NDArray[np.float32]]:
        outputs = self._first.result()
        try:
            return outputs + self._second.result()
        except PartlyRunError as error:
            raise PartlyRunError(error, outputs + error.outputs) from error
        except DeviceError as error:
            raise PartlyRunError(error, outputs) from error


class _Failed(_Uncancellable):
    """A batch that could not be begun."""

    def __init__(self, error: DeviceError) -> None:
        self._error = error

    def ready(self) -> bool:
        return True

    def result(self) -> list[NDArray[np.float32]]:
        raise self._error

"""What the tasks have in common: the model by name, the settings of a run, pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sewcli.errors import UsageError
from sewcli.hub.fetching import LocalModel
from sewcli.results import ModelInfo

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel
    from sewcli.inputs.source import Source
    from sewcli.pipeline.consumer import Consumer
    from sewcli.pipeline.run import Options

    Picture = Callable[[Source, bytes], None]
    """Takes each source and its picture."""

ResultT = TypeVar("ResultT")


def model_info(local: LocalModel) -> ModelInfo:
    """How results name the model."""
    spec = local.spec
    return ModelInfo(spec.name, local.revision, spec.language, spec.start_offset, spec.end_offset)


def batch_seconds(wanted: float | None, model: RunningModel) -> float:
    """The batch size asked for, or the one that suits the device."""
    if wanted is not None:
        if not math.isfinite(wanted):
            raise UsageError(f"batch seconds {wanted}: not a number of seconds")
        return wanted
    from sewcli.acoustic.budget import device_seconds

    return device_seconds(model.device, model.checkpoint.config)


def run_settings(network: RunningModel, audio_engine: str) -> dict[str, Any]:
    """What can change the values that the network gives for an input, for the record."""
    return {"dtype": network.dtype, "engine": network.engine, "audio_engine": audio_engine}


def chunk_settings(network: RunningModel, options: Options) -> dict[str, Any]:
    """The same for recordings that are read in chunks."""
    chunks = {
        "chunk": options.plan.chunk_seconds,
        "stride": options.plan.stride_seconds,
        "statistics": "file" if options.file_statistics else "chunk",
    }
    return chunks | run_settings(network, options.audio_engine)


def pictured(consumer: Consumer[ResultT], picture: Picture | None) -> Consumer[ResultT]:
    """A consumer that has a picture drawn too, where one is wanted."""
    if picture is None:
        return consumer
    from sewcli.pictures.consumer import Picturing

    return Picturing(consumer, picture)

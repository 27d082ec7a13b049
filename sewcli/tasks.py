"""A model at work: transcribing, classifying and spotting, for commands and for Python alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sewcli.decoding.options import DecodingOptions
from sewcli.errors import UsageError
from sewcli.hub.fetching import LocalModel
from sewcli.results import Classification, Detections, Failure, KeywordEvent, ModelInfo, Transcript

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel
    from sewcli.inputs.sources import Source
    from sewcli.pipeline.consumer import Consumer
    from sewcli.pipeline.run import Options
    from sewcli.spotting.options import SpottingOptions

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


def run_settings(network: RunningModel, options: Options) -> dict[str, Any]:
    """What can change the values that the network gives for an input, for the record."""
    return {"dtype": network.dtype, "engine": network.engine, "audio_engine": options.audio_engine}


def chunk_settings(network: RunningModel, options: Options) -> dict[str, Any]:
    """The same for recordings that are read in chunks."""
    chunks = {
        "chunk": options.plan.chunk_seconds,
        "stride": options.plan.stride_seconds,
        "statistics": "file" if options.file_statistics else "chunk",
    }
    return chunks | run_settings(network, options)


def pictured(consumer: Consumer[ResultT], picture: Picture | None) -> Consumer[ResultT]:
    """A consumer that has a picture drawn too, where one is wanted."""
    if picture is None:
        return consumer
    from sewcli.pictures.consumer import Picturing

    return Picturing(consumer, picture)


class Transcribing:
    """A CTC model with all that decides about its transcripts.

    Args:
        local: the model's files.
        network: the model.
        decoding: how logits become text.
        options: how recordings are read, cut and batched.
        timestamps: "none", "word" or "char".
        save: takes each source and the content of the file of its logits (sewcli.logits), or None.
        picture: takes each source and its picture (sewcli.pictures), or None.
        decode_workers: processes that beam search runs in, see `sewcli.decoding.search_workers`; they end
            with the results.

    Attributes:
        settings: everything that can change the text, for the record.

    Raises:
        UsageError: the decoder cannot be had for this model. ModelError: the vocabulary is damaged.
    """

    def __init__(
        self,
        local: LocalModel,
        network: RunningModel,
        decoding: DecodingOptions,
        options: Options,
        timestamps: str,
        save: Callable[[Source, Iterable[bytes]], None] | None = None,
        picture: Picture | None = None,
        *,
        decode_workers: int | None = 0,
    ) -> None:
        from sewcli.decoding.decoders import decoders
        from sewcli.decoding.pauses import PausingDecoder
        from sewcli.decoding.search_workers import search_workers
        from sewcli.decoding.vocabulary import load_vocabulary

        self._network = network
        self._options = options
        self._timestamps, self._case = timestamps, decoding.case
        self._info = model_info(local)
        vocabulary = load_vocabulary(local.directory, network.columns)
        self._vocabulary = vocabulary
        self._save = save
        self._picture = picture
        self._workers = search_workers(decode_workers, decoding)
        self._decoder, settings = decoders(
            decoding, vocabulary, times=timestamps != "none", workers=self._workers
        )
        self.settings = settings | chunk_settings(network, options)
        if options.activity is not None:
            plain = self._decoder
            self._decoder = lambda: PausingDecoder(plain(), vocabulary)
            self.settings |= {"vad": options.activity.as_settings()}

    def results(self, sources: Iterable[Source]) -> Iterator[Transcript | Failure]:
        """A transcript or a failure for each source, in order; see `sewcli.pipeline.run.run`."""
        from sewcli.pipeline.line import Makers
        from sewcli.pipeline.run import run

        workers = self._workers
        makers = None if workers is None else Makers(workers.count, workers.close)
        return run(sources, self._network, self._consumer, self._options, makers=makers)

    def _consumer(self) -> Consumer[Transcript | Failure]:
        from sewcli.logits import Run, Saver
        from sewcli.recognition import Transcriber

        transcriber: Consumer[Transcript | Failure] = Transcriber(
            self._decoder(), self._info, self.settings, self._timestamps, self._case
        )
        transcriber = pictured(transcriber, self._picture)
        if self._save is None:
            return transcriber
        about = Run(self._info, self._vocabulary, chunk_settings(self._network, self._options))
        return Saver(transcriber, about, self._save)


class Classifying:
    """A classification model with all that decides about its labels.

    Args:
        local: the model's files.
        network: the model.
        options: how recordings are read and batched, see `Options.for_clips`.
        top: how many labels to keep.
        picture: see `Transcribing`.

    Attributes:
        settings: everything that can change the labels.
    """

    def __init__(
        self,
        local: LocalModel,
        network: RunningModel,
        options: Options,
        top: int,
        picture: Picture | None = None,
    ) -> None:
        self._network = network
        self._picture = picture
        self._options = options
        self._info = model_info(local)
        self._top = top
        self.settings = {"top": top, **run_settings(network, options)}

    def results(self, sources: Iterable[Source]) -> Iterator[Classification | Failure]:
        """The labels or a failure for each source, in order; see `sewcli.pipeline.run.run`."""
        from sewcli.pipeline.run import run

        return run(sources, self._network, self._consumer, self._options)

    def _consumer(self) -> Consumer[Classification]:
        from sewcli.recognition import Classifier

        classifier = Classifier(self._network.labels, self._info, self._top)
        return pictured(classifier, self._picture)


class Spotting:
    """A classification model that looks for keywords in long audio.

    Args:
        local: the model's files.
        network: the model.
        spotting: windows and events.
        batch_seconds: audio in one batch.
        audio_engine: of the decoding.
        picture: see `Transcribing`.

    Attributes:
        settings: everything that can change the events.

    Raises:
        UsageError: the model has no such labels.
    """

    def __init__(
        self,
        local: LocalModel,
        network: RunningModel,
        spotting: SpottingOptions,
        batch_seconds: float,
        audio_engine: str,
        picture: Picture | None = None,
    ) -> None:
        from sewcli.spotting.spotter import Spotter

        spotting.columns(network.labels)
        self._spotter = Spotter(network, model_info(local), spotting, batch_seconds, audio_engine, picture)
        engines = {"dtype": network.dtype, "engine": network.engine, "audio_engine": audio_engine}
        self.settings = spotting.as_settings() | engines

    def results(self, sources: Iterable[Source]) -> Iterator[KeywordEvent | Detections | Failure]:
        """The events of each source as they end, then all of them; see `sewcli.spotting.spotter`."""
        return self._spotter.results(sources)

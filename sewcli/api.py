"""Transcribing and classifying from Python: `sewcli.load(...).transcribe(...)`.

The commands of `sew` are made of the same parts: `sewcli.tasks` below, options and output above.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.checkpoint import declared_task
from sewcli.activity_options import ActivityOptions
from sewcli.api_options import ClassifyOptions, Part, SpotOptions, TranscribeOptions, check_options
from sewcli.audio.arrays import ARRAY, array_source
from sewcli.chunking import DEFAULT_CHUNK, DEFAULT_STRIDE, ChunkPlan
from sewcli.decoding.options import DecodingOptions
from sewcli.errors import AudioError, ModelError, UsageError
from sewcli.hub import LocalModel, fetch, set_offline
from sewcli.parts import Window
from sewcli.pipeline import Options
from sewcli.registry import load_registry, resolve
from sewcli.results import Classification, Detections, Failure, KeywordEvent, Transcript
from sewcli.sources import STDIN, Source
from sewcli.spotting.options import SpottingOptions
from sewcli.tasks import Classifying, Spotting, Transcribing, batch_seconds

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel

Array = NDArray[np.floating[Any]] | NDArray[np.int16] | NDArray[np.int32]
Audio = str | os.PathLike[str] | tuple[Array, int]
"""A file or an address, or samples of shape (samples,) or (samples, channels) with their rate."""

_METHODS = {"ctc": "transcribe", "classification": "classify"}

ResultT = TypeVar("ResultT", Transcript, Classification)


def load(
    model: str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    engine: str = "auto",
    offline: bool = False,
    progress: bool = True,
) -> Model:
    """Load a model for transcribing or classifying, whichever it is made for.

    Args:
        model: alias, directory or hub repository; the default model for transcribing where it is None.
        revision: branch, tag or commit of a hub model.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        dtype: "auto" (float32), "float32", "bfloat16" or "float16".
        threads: CPU threads of torch, for the whole process.
        engine: "auto", "fast" or "reference".
        offline: use no network, for the rest of the process.
        progress: progress bars of a download, where standard error is a terminal.

    Raises:
        ModelError: it is not available, damaged, or for neither.
        DeviceError: the device is not there. UsageError: an argument is wrong.
    """
    if offline:
        set_offline()
    registry = load_registry()
    name = registry.default_model("ctc").name if model is None else os.fspath(model)
    local = fetch(resolve(name, registry=registry, revision=revision), offline=offline, progress=progress)
    task = declared_task(local.directory) or local.spec.task or "ctc"
    if task not in _METHODS:
        raise ModelError(
            f"{local.spec.name} is an encoder without a head: it neither transcribes nor classifies",
            hint="fine-tune it first (`sew train`), or choose a fine-tuned model: `sew models list`",
            code="no_head",
        )
    from sewcli.acoustic.load import load_model

    network = load_model(local, task, engine=engine, device=device, dtype=dtype, threads=threads)
    return Model(local, network, task)


class Model:
    """A model that is loaded; `load` makes it. It may be used by one thread at a time.

    Attributes:
        name: alias, hub repository or directory.
        revision: commit of a hub model, version of an embedded one, else None.
        task: "ctc" (transcribe) or "classification" (classify).
        labels: that it tells apart (classification), else empty.
        device: that it runs on.
    """

    def __init__(self, local: LocalModel, network: RunningModel, task: str) -> None:
        self._local = local
        self._network = network
        self.name = local.spec.name
        self.revision = local.revision
        self.task = task
        self.labels = network.labels
        self.device = network.device

    def __repr__(self) -> str:
        return f"<sewcli.Model {self.name} for {self.task} on {self.device}>"

    def transcribe(
        self,
        audio: str | os.PathLike[str] | Array,
        sample_rate: int | None = None,
        **options: Unpack[TranscribeOptions],
    ) -> Transcript:
        """Transcribe one file or one array.

        Args:
            audio: a file or its address, or samples of shape (samples,) or (samples, channels).
            sample_rate: of an array, in Hz.
            options: see `TranscribeOptions`.

        Raises:
            AudioError: the audio cannot be read or used. ModelError: it is a model for classifying.
            UsageError: an option is wrong. DeviceError: out of memory.
        """
        return _only(self._transcripts([_one(audio, sample_rate)], options))

    def transcribe_many(
        self, audios: Iterable[Audio], **options: Unpack[TranscribeOptions]
    ) -> Iterator[Transcript | Failure]:
        """Transcribe files and arrays, each when its turn comes.

        Args:
            audios: files, or pairs of samples and their rate; may be an endless iterator.
            options: see `TranscribeOptions`.

        Returns:
            One result for each, in order; a Failure where one cannot be read or used.

        Raises:
            ModelError, UsageError: at once, as `transcribe`. DeviceError: while it runs.
        """
        return self._transcripts((_source(audio) for audio in audios), options)

    def classify(
        self,
        audio: str | os.PathLike[str] | Array,
        sample_rate: int | None = None,
        **options: Unpack[ClassifyOptions],
    ) -> Classification:
        """The labels of one clip, a file or an array; see `transcribe` and `ClassifyOptions`."""
        return _only(self._classifications([_one(audio, sample_rate)], options))

    def classify_many(
        self, audios: Iterable[Audio], **options: Unpack[ClassifyOptions]
    ) -> Iterator[Classification | Failure]:
        """The labels of clips, one result for each, in order; see `transcribe_many` and `ClassifyOptions`."""
        return self._classifications((_source(audio) for audio in audios), options)

    def spot(
        self,
        audio: str | os.PathLike[str] | Array,
        sample_rate: int | None = None,
        **options: Unpack[SpotOptions],
    ) -> Iterator[KeywordEvent]:
        """The keywords in one recording of any length, each as soon as it is over.

        Args:
            audio: a file, or samples of shape (samples,) or (samples, channels).
            sample_rate: of an array, in Hz.
            options: see `SpotOptions`.

        Raises:
            ModelError, UsageError: at once, as `classify`. AudioError, DeviceError: while it runs.
        """
        self._require("classification")
        check_options(options, SpotOptions)
        given: dict[str, Any] = {**options}
        names = {field.name for field in fields(SpottingOptions)}
        spotting = SpottingOptions(**{name: given[name] for name in names & given.keys()})
        spotting.check()
        padded = batch_seconds(options.get("batch_seconds"), self._network)
        engine = options.get("audio_engine", "soundfile")
        task = Spotting(self._local, self._network, spotting, padded, engine)
        return _events(task.results(_parts([_one(audio, sample_rate)], options)))

    def _transcripts(
        self, sources: Iterable[Source], options: TranscribeOptions
    ) -> Iterator[Transcript | Failure]:
        self._require("ctc")
        check_options(options, TranscribeOptions)
        given: dict[str, Any] = {**options}
        names = {field.name for field in fields(DecodingOptions)}
        decoding = DecodingOptions(**{name: given[name] for name in names & given.keys()})
        decoding.check()
        try:
            plan = ChunkPlan.from_seconds(
                options.get("chunk", DEFAULT_CHUNK), options.get("stride", DEFAULT_STRIDE)
            )
        except ValueError as error:
            raise UsageError(str(error), hint="for example chunk=20, stride=1") from error
        padded = batch_seconds(options.get("batch_seconds"), self._network)
        wanted = options.get("vad", False)
        activity = (ActivityOptions() if wanted else None) if isinstance(wanted, bool) else wanted
        if activity is not None:
            activity.checked()
        how = Options(
            plan,
            padded,
            options.get("statistics", "file") == "file",
            options.get("audio_engine", "soundfile"),
            activity=activity,
        )
        task = Transcribing(self._local, self._network, decoding, how, options.get("timestamps", "word"))
        return task.results(_parts(sources, options))

    def _classifications(
        self, sources: Iterable[Source], options: ClassifyOptions
    ) -> Iterator[Classification | Failure]:
        self._require("classification")
        check_options(options, ClassifyOptions)
        padded = batch_seconds(options.get("batch_seconds"), self._network)
        how = Options.for_clips(padded, options.get("audio_engine", "soundfile"))
        task = Classifying(self._local, self._network, how, options.get("top", 1))
        return task.results(_parts(sources, options))

    def _require(self, task: str) -> None:
        if self.task != task:
            raise ModelError(
                f"{self.name} is a {self.task} model, not a {task} model",
                hint=f"use its method {_METHODS[self.task]}, or load another model",
                code="wrong_task",
            )


def _one(audio: str | os.PathLike[str] | Array, sample_rate: int | None) -> Source:
    if isinstance(audio, str | os.PathLike):
        return _file(audio)
    return array_source(audio, sample_rate)


def _source(audio: Audio) -> Source:
    """The source of an input; what is wrong with an array becomes its failure."""
    if isinstance(audio, str | os.PathLike):
        return _file(audio)
    try:
        samples, rate = audio
        return array_source(samples, rate)
    except (TypeError, ValueError) as error:
        return Source(ARRAY, Path(ARRAY), error=str(error))


def _file(audio: str | os.PathLike[str]) -> Source:
    path = os.fspath(audio)
    return Source(f"./{path}" if path == STDIN else path, Path(path))


def _parts(sources: Iterable[Source], options: Part) -> Iterator[Source]:
    channel = options.get("channel")
    start, end = options.get("start", 0.0), options.get("end")
    if start < 0 or (end is not None and end <= start):
        raise UsageError(f"start={start:g}, end={end}: no part of a recording", hint="both are seconds")
    return (replace(source, channel=channel) for source in Window(start, end).cut(sources))


def _events(results: Iterable[KeywordEvent | Detections | Failure]) -> Iterator[KeywordEvent]:
    """The events alone (AudioError where the recording has failed)."""
    for result in results:
        if isinstance(result, Failure):
            raise AudioError(result.message, code=result.code)
        if isinstance(result, KeywordEvent):
            yield result


def _only(results: Iterator[ResultT | Failure]) -> ResultT:
    """The only result (AudioError where it is a failure)."""
    [result] = results
    if isinstance(result, Failure):
        raise AudioError(result.message, code=result.code)
    return result

"""A loaded model and its methods, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

from sewcli.api.inputs import (
    Audio,
    Logits,
    OneAudio,
    Picture,
    Place,
    any_sources,
    any_text_source,
    ended_at_exit,
    events_only,
    listed,
    logits_file,
    one_source,
    only,
    parts,
    picture_file,
)
from sewcli.api.options import (
    AlignOptions,
    ClassifyOptions,
    EmbedOptions,
    SpotOptions,
    TranscribeOptions,
    checked_options,
    decoding_options,
    reading_options,
)
from sewcli.decoding.options import DEFAULT_MIN_CONFIDENCE
from sewcli.errors import ModelError, UsageError
from sewcli.hub.fetching import LocalModel
from sewcli.inputs.source import Source
from sewcli.pipeline.run import Options
from sewcli.results import Classification, Embedding, Failure, KeywordEvent, Transcript
from sewcli.spotting.options import SpottingOptions
from sewcli.tasks.aligning import Aligning
from sewcli.tasks.classifying import Classifying
from sewcli.tasks.shared import batch_seconds
from sewcli.tasks.spotting import Spotting
from sewcli.tasks.transcribing import Transcribing

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel

METHODS = {"ctc": "transcribe or align", "classification": "classify or spot", "features": "embed"}
"""Tasks that a model can be loaded for, and the methods that it has then."""


class Model:
    """A model that is loaded; `sewcli.load` makes it. It may be used by one thread at a time.

    Attributes:
        name: alias, hub repository or directory.
        revision: commit of a hub model, version of an embedded one, else None.
        task: "ctc" (transcribe, align), "classification" (classify, spot) or "features" (embed).
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

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sewcli.Model is of one process: load it in each (multiprocessing: initializer=)")

    def transcribe(
        self,
        audio: OneAudio,
        sample_rate: int | None = None,
        *,
        plot: Place | None = None,
        save_logits: Place | None = None,
        **options: Unpack[TranscribeOptions],
    ) -> Transcript:
        """Transcribe one file or one array.

        Args:
            audio: a file or its address, its bytes, a file that is open in binary mode, samples of shape
                (samples,) or (samples, channels), or the audio of a row of a data set.
            sample_rate: of an array, in Hz.
            plot: a .png to draw waveform, mel spectrogram and words to; one that exists is replaced.
            save_logits: a file for what the network gave, for `sewcli.decode`; likewise.
            options: see `TranscribeOptions`.

        Raises:
            AudioError: the audio cannot be read or used. ModelError: it is a model for classifying.
            UsageError: an option is wrong. DeviceError: out of memory.
        """
        source = one_source(audio, sample_rate)
        picture, save = picture_file(plot, audio), logits_file(save_logits, audio)
        return only(self._transcripts([source], options, picture, save))

    def transcribe_many(
        self, audios: Iterable[Audio], **options: Unpack[TranscribeOptions]
    ) -> Iterator[Transcript | Failure]:
        """Transcribe files and arrays, each when its turn comes.

        Args:
            audios: files, their bytes, open files, or pairs of samples and their rate; may be an endless
                iterator.
            options: see `TranscribeOptions`.

        Returns:
            One result for each, in order; a Failure where one cannot be read or used.

        Raises:
            ModelError, UsageError: at once, as `transcribe`. DeviceError: while it runs.
        """
        return ended_at_exit(self._transcripts(any_sources(audios), options, decode_workers=None))

    def align(
        self,
        audio: OneAudio,
        text: str,
        sample_rate: int | None = None,
        *,
        plot: Place | None = None,
        **options: Unpack[AlignOptions],
    ) -> Transcript:
        """The times of a known text in one recording, and which of its words fit.

        Args:
            audio, sample_rate, plot: see `transcribe`.
            text: what is said, in characters that the model writes.
            options: see `AlignOptions`.

        Raises:
            UsageError: the text is empty or cannot be spelled. Others: as `transcribe`.
        """
        task = self._aligning(options, picture_file(plot, audio))
        said: Any = text
        if not isinstance(said, str):
            raise UsageError(f"text={text!r}: a string is needed")
        task.check(text)
        source = replace(one_source(audio, sample_rate), text=text)
        return only(task.results(parts([source], options)))

    def align_many(
        self, pairs: Iterable[tuple[Audio, str]], **options: Unpack[AlignOptions]
    ) -> Iterator[Transcript | Failure]:
        """Align recordings with their texts, one result for each, in order; see `align`."""
        sources = map(any_text_source, listed(pairs))
        return ended_at_exit(self._aligning(options).results(parts(sources, options)))

    def classify(
        self,
        audio: OneAudio,
        sample_rate: int | None = None,
        *,
        plot: Place | None = None,
        **options: Unpack[ClassifyOptions],
    ) -> Classification:
        """The labels of one clip, a file or an array; see `transcribe` and `ClassifyOptions`."""
        source = one_source(audio, sample_rate)
        return only(self._classifications([source], options, picture_file(plot, audio)))

    def classify_many(
        self, audios: Iterable[Audio], **options: Unpack[ClassifyOptions]
    ) -> Iterator[Classification | Failure]:
        """The labels of clips, one result for each, in order; see `transcribe_many` and `ClassifyOptions`."""
        return ended_at_exit(self._classifications(any_sources(audios), options))

    def spot(
        self,
        audio: OneAudio,
        sample_rate: int | None = None,
        *,
        plot: Place | None = None,
        **options: Unpack[SpotOptions],
    ) -> Iterator[KeywordEvent]:
        """The keywords in one recording of any length, each as soon as it is over.

        Args:
            audio: see `transcribe`.
            sample_rate: of an array, in Hz.
            plot: a .png to draw waveform, mel spectrogram and scores to; one that exists is replaced.
            options: see `SpotOptions`.

        Raises:
            ModelError, UsageError: at once, as `classify`. AudioError, DeviceError: while it runs.
        """
        self._require("classification")
        options = checked_options(options, SpotOptions)
        given: dict[str, Any] = {**options}
        names = {field.name for field in fields(SpottingOptions)}
        spotting = SpottingOptions(**{name: given[name] for name in names & given.keys()})
        spotting.check()
        padded = batch_seconds(options.get("batch_seconds"), self._network)
        engine = options.get("audio_engine", "soundfile")
        picture = picture_file(plot, audio)
        task = Spotting(self._local, self._network, spotting, padded, engine, picture)
        results = task.results(parts([one_source(audio, sample_rate)], options))
        return ended_at_exit(events_only(results))

    def embed(
        self, audio: OneAudio, sample_rate: int | None = None, **options: Unpack[EmbedOptions]
    ) -> Embedding:
        """The hidden states of one recording, a file or an array, by a model loaded for "features".

        Args:
            audio, sample_rate: see `transcribe`.
            options: see `EmbedOptions`.

        Raises:
            UsageError: there is no such layer, or another option is wrong. Others: as `transcribe`.
        """
        return only(self._embeddings([one_source(audio, sample_rate)], options))

    def embed_many(
        self, audios: Iterable[Audio], **options: Unpack[EmbedOptions]
    ) -> Iterator[Embedding | Failure]:
        """The hidden states of recordings, one result for each, in order; see `transcribe_many`, `embed`."""
        return ended_at_exit(self._embeddings(any_sources(audios), options))

    def _transcripts(
        self,
        sources: Iterable[Source],
        options: TranscribeOptions,
        picture: Picture | None = None,
        save: Logits | None = None,
        decode_workers: int | None = 0,
    ) -> Iterator[Transcript | Failure]:
        self._require("ctc")
        options = checked_options(options, TranscribeOptions)
        decoding = decoding_options(options, self._local.spec.defaults_for(self.task))
        how = self._reading(options)
        times = options.get("timestamps", "word")
        count = options.get("decode_workers", decode_workers)
        task = Transcribing(
            self._local, self._network, decoding, how, times, save, picture, decode_workers=count
        )
        return task.results(parts(sources, options))

    def _aligning(self, options: AlignOptions, picture: Picture | None = None) -> Aligning:
        self._require("ctc")
        options = checked_options(options, AlignOptions)
        how = self._reading(options)
        return Aligning(
            self._local,
            self._network,
            how,
            options.get("timestamps", "char"),
            options.get("min_confidence", DEFAULT_MIN_CONFIDENCE),
            picture,
            ignore_punctuation=options.get("ignore_punctuation", False),
        )

    def _classifications(
        self, sources: Iterable[Source], options: ClassifyOptions, picture: Picture | None = None
    ) -> Iterator[Classification | Failure]:
        self._require("classification")
        options = checked_options(options, ClassifyOptions)
        top = options.get("top", 1)
        if top < 1:
            raise UsageError(f"top={top}: at least one label is given")
        padded = batch_seconds(options.get("batch_seconds"), self._network)
        engine, workers = options.get("audio_engine", "soundfile"), options.get("read_workers")
        how = Options.for_clips(padded, engine, workers)
        task = Classifying(self._local, self._network, how, top, picture)
        return task.results(parts(sources, options))

    def _embeddings(self, sources: Iterable[Source], options: EmbedOptions) -> Iterator[Embedding | Failure]:
        self._require("features")
        options = checked_options(options, EmbedOptions)
        from sewcli.tasks.embedding import Encoding

        how = self._reading(options)
        task = Encoding(
            self._local,
            self._network,
            how,
            layer=options.get("layer"),
            pool=options.get("pool", "none"),
            attentions=options.get("attentions", False),
        )
        return task.results(parts(sources, options))

    def _reading(self, options: TranscribeOptions | AlignOptions | EmbedOptions) -> Options:
        padded = batch_seconds(options.get("batch_seconds"), self._network)
        return reading_options(options, padded, self._local.spec.defaults_for(self.task))

    def _require(self, task: str) -> None:
        if self.task != task:
            raise ModelError(
                f"{self.name} is loaded for {self.task}, not for {task}",
                hint=f"use its method {METHODS[self.task]}, or load(..., task={task!r})",
                code="wrong_task",
            )

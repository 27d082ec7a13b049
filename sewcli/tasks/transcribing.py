"""A CTC model that transcribes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from sewcli.decoding.options import DecodingOptions
from sewcli.errors import UsageError
from sewcli.hub.fetching import LocalModel
from sewcli.results import Failure, Transcript
from sewcli.tasks.shared import chunk_settings, model_info, pictured

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel
    from sewcli.inputs.source import Source
    from sewcli.pipeline.consumer import Consumer
    from sewcli.pipeline.run import Options
    from sewcli.tasks.shared import Picture


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
        UsageError: the decoder cannot be had for this model, or logits with gaps would be saved.
        ModelError: the vocabulary is damaged.
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
        from sewcli.decoding.search import Setup
        from sewcli.decoding.search_workers import search_workers
        from sewcli.decoding.vocabulary import load_vocabulary

        if save is not None and options.activity is not None:
            raise UsageError("vad leaves frames out, and save_logits keeps all", hint="leave one out")
        self._network = network
        self._options = options
        self._timestamps, self._case = timestamps, decoding.case
        self._info = model_info(local)
        vocabulary = load_vocabulary(local.directory, network.columns)
        self._vocabulary = vocabulary
        self._save = save
        self._picture = picture
        self._workers = search_workers(decode_workers, decoding)
        times = timestamps != "none"
        self._setup = Setup(decoding, vocabulary, times)
        self._decoder, settings = decoders(decoding, vocabulary, times=times, workers=self._workers)
        self.settings = settings | chunk_settings(network, options)
        if options.activity is not None:
            plain = self._decoder
            self._decoder = lambda: PausingDecoder(plain(), vocabulary)
            self.settings |= {"vad": options.activity.as_settings()}

    def results(self, sources: Iterable[Source]) -> Iterator[Transcript | Failure]:
        """A transcript or a failure for each source, in order; see `sewcli.pipeline.run.run`."""
        from sewcli.pipeline.line import Makers
        from sewcli.pipeline.run import run

        workers, makers = self._workers, None
        if workers is not None:
            workers.prepare(self._setup)
            makers = Makers(workers.count, workers.close)
        yield from run(sources, self._network, self._consumer, self._options, makers=makers)

    def _consumer(self) -> Consumer[Transcript | Failure]:
        from sewcli.consumers.saver import Saver
        from sewcli.consumers.transcriber import Transcriber
        from sewcli.logits import Run

        transcriber: Consumer[Transcript | Failure] = Transcriber(
            self._decoder(), self._info, self.settings, self._timestamps, self._case
        )
        transcriber = pictured(transcriber, self._picture)
        if self._save is None:
            return transcriber
        about = Run(self._info, self._vocabulary, chunk_settings(self._network, self._options))
        return Saver(transcriber, about, self._save)

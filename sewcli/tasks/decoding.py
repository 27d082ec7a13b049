"""Saved logits decoded again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from sewcli.audio.checks import check_source
from sewcli.consumers.transcriber import Transcriber
from sewcli.decoding.decoders import Decoder, decoders
from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.search_workers import search_workers
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import InputError
from sewcli.inputs.source import Source
from sewcli.logits import SavedLogits
from sewcli.pipeline.ahead import mapped_ahead
from sewcli.results import Failure, Transcript

_BLOCK = 4096


class Decoding:
    """Decodes saved logits.

    Args:
        decoding: how logits become text.
        timestamps: "none", "word" or "char".
        decode_workers: processes that beam search runs in, see `sewcli.decoding.search_workers`; they end
            with the results.
    """

    def __init__(self, decoding: DecodingOptions, timestamps: str, *, decode_workers: int | None = 0) -> None:
        self._decoding = decoding
        self._timestamps = timestamps
        self._workers = search_workers(decode_workers, decoding)
        # most often all files are of one model
        self._decoders: dict[Vocabulary, tuple[Callable[[], Decoder], dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def results(self, sources: Iterable[Source]) -> Iterator[Transcript | Failure]:
        """A transcript or a failure for each source, in order; their files hold logits.

        Raises:
            UsageError: the decoder cannot be had for a model.
        """
        workers = self._workers
        results = mapped_ahead(sources, self._decoded, workers=0 if workers is None else workers.count)
        with contextlib.ExitStack() as ends:
            ends.enter_context(contextlib.closing(results))
            if workers is not None:
                ends.callback(workers.close)
            yield from results

    def _decoded(self, source: Source) -> Transcript | Failure:
        try:
            check_source(source)
            saved = SavedLogits.read(source.file)
        except InputError as error:
            return source.failure(error.code, str(error))
        run = saved.run
        with self._lock:
            if run.vocabulary not in self._decoders:
                self._decoders[run.vocabulary] = decoders(
                    self._decoding, run.vocabulary, times=self._timestamps != "none", workers=self._workers
                )
        try:
            return self._transcript(saved, *self._decoders[run.vocabulary])
        except InputError as error:
            return source.failure(error.code, f"{source.file}: {error}")

    def _transcript(
        self, saved: SavedLogits, decoder: Callable[[], Decoder], settings: dict[str, Any]
    ) -> Transcript | Failure:
        """Of saved logits (InputError where they are damaged, or there is no room for what they become)."""
        run = saved.run
        known = settings | dict(run.settings)
        transcriber = Transcriber(decoder(), run.model, known, self._timestamps, self._decoding.case)
        try:
            for start in range(0, saved.logits.shape[0], _BLOCK):
                block = np.asarray(saved.logits[start : start + _BLOCK])
                if not np.isfinite(block).all():
                    raise InputError(
                        "damaged: its logits are no numbers", hint="save them again", code="damaged_logits"
                    )
                transcriber.push(block)
            return transcriber.result(saved)
        finally:
            transcriber.close()

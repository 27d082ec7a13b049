"""A CTC model that finds the words of known texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

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


class Aligning:
    """A CTC model that finds known texts, those of the sources, in their recordings.

    Args:
        local: the model's files.
        network: the model.
        options: how recordings are read, cut and batched.
        timestamps: "word" or "char".
        min_confidence: below which a word does not fit.
        ignore_punctuation: see `sewcli.decoding.known.KnownText`.
        picture: see `Transcribing`.

    Attributes:
        settings: everything that can change the result, for the record.

    Raises:
        ModelError: the vocabulary is damaged.
    """

    def __init__(
        self,
        local: LocalModel,
        network: RunningModel,
        options: Options,
        timestamps: str,
        min_confidence: float,
        picture: Picture | None = None,
        *,
        ignore_punctuation: bool = False,
    ) -> None:
        from sewcli.decoding.vocabulary import load_vocabulary

        self._network = network
        self._options = options
        self._timestamps = timestamps
        self._least = min_confidence
        self._ignore_punctuation = ignore_punctuation
        self._picture = picture
        self._info = model_info(local)
        self._vocabulary = load_vocabulary(local.directory, network.columns)
        self.settings = chunk_settings(network, options) | {"min_confidence": min_confidence}
        if ignore_punctuation:
            self.settings["ignore_punctuation"] = True

    def check(self, text: str, name: str = "the text") -> None:
        """Refuse a text that the model cannot spell (UsageError, with the name of the text)."""
        if problem := self._problem(text):
            marks = "" if self._ignore_punctuation else ", and --ignore-punctuation for its marks"
            raise UsageError(
                f"{name}: {problem}",
                hint=f"spell it with the characters the model writes: numbers as words{marks}",
            )

    def results(self, sources: Iterable[Source]) -> Iterator[Transcript | Failure]:
        """The aligned text or a failure for each source, in order; see `sewcli.pipeline.run.run`.

        A source whose text cannot be aligned fails before its audio is read.
        """
        from sewcli.pipeline.run import run

        spelled = (replace(source, error=source.error or self._problem(source.text)) for source in sources)
        return run(spelled, self._network, self._consumer, self._options)

    def _consumer(self) -> Consumer[Transcript | Failure]:
        from sewcli.consumers.aligner import Aligner

        aligner = Aligner(
            self._vocabulary,
            self._info,
            self.settings,
            self._timestamps,
            self._least,
            self._ignore_punctuation,
        )
        return pictured(aligner, self._picture)

    def _problem(self, text: str | None) -> str | None:
        from sewcli.decoding.known import KnownText

        try:
            KnownText(text, self._vocabulary, ignore_punctuation=self._ignore_punctuation)
        except ValueError as error:
            return str(error)
        return None

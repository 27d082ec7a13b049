"""A model's answers to the rows of a manifest, their loss and their time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from sewcli.consumers.classifier import Classifier
from sewcli.consumers.transcriber import Transcriber
from sewcli.decoding.decoders import decoders
from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.pauses import PausingDecoder
from sewcli.decoding.tally import Tally
from sewcli.decoding.vocabulary import Vocabulary, load_vocabulary
from sewcli.errors import UsageError
from sewcli.evaluation.loss import CtcLoss
from sewcli.evaluation.measuring import Measured, MeasuringConsumer, Stopwatch
from sewcli.evaluation.normalizers import basic, unchanged
from sewcli.evaluation.references import Item, References
from sewcli.evaluation.scores import Scored
from sewcli.inputs.manifest import plain_label
from sewcli.inputs.source import Source
from sewcli.pipeline.consumer import Consumer
from sewcli.pipeline.run import Options, run
from sewcli.results import Classification, Failure, Transcript
from sewcli.tasks.shared import chunk_settings, model_info, run_settings

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel
    from sewcli.hub.fetching import LocalModel

log = logging.getLogger("sewcli")

Answered = Measured[Transcript] | Measured[Classification]


class Watching(Protocol):
    """Shows how far a run is."""

    def __enter__(self) -> Any:
        """It begins."""

    def __exit__(self, *error: Any) -> None:
        """It ends."""

    def reading(self, sources: Iterable[Source]) -> Iterator[Source]:
        """The sources, each noted as it is asked for."""

    def advance(self, result: Transcript | Classification) -> None:
        """An input is done."""

    def fail(self) -> None:
        """An input has failed."""


def answers(
    references: References,
    local: LocalModel,
    network: RunningModel,
    decoding: DecodingOptions,
    options: Options,
    normalizer: str,
    progress: Watching,
    others: str | None = None,
) -> tuple[Iterator[Item], dict[str, Any]]:
    """Run a model over the rows of a manifest.

    Args:
        references: the rows.
        local: the model's files.
        network: the model.
        decoding: how its logits become text.
        options: how recordings are read, cut and batched.
        normalizer: with any but "none" the loss is that of the text without its punctuation.
        progress: is told of what is read and answered.
        others: the label that rows count as whose own the model does not have; None leaves them theirs.

    Returns:
        The utterances as they are done, and the settings that can change the scores.

    Raises:
        UsageError: the decoder cannot be had for this model, or it has no label `others`.
        ModelError: the vocabulary is damaged.
    """
    stopwatch = Stopwatch(network)
    info = model_info(local)
    consumer: Callable[[], Consumer[Answered | Failure]]
    if references.task == "classification":
        if others is not None:
            references = _with_others(references, network.labels, others)
        _warn_of_unknown_labels(references, network.labels)
        settings = run_settings(network, options.audio_engine)
        consumer = lambda: MeasuringConsumer(Classifier(network.labels, info, 1), stopwatch)  # noqa: E731
    else:
        vocabulary = load_vocabulary(local.directory, network.columns)
        decoder, decoder_settings = decoders(decoding, vocabulary, times=False)
        loss = CtcLoss.of(
            network.checkpoint.config,
            vocabulary,
            network.head_bias,
            # whisper-en writes numbers in digits, which no model here was taught
            unchanged if normalizer == "none" else basic,
        )
        if normalizer == "none":
            _warn_of_unspellable(references, vocabulary)
        settings = decoder_settings | chunk_settings(network, options)
        activity = options.activity
        if activity is None:
            consumer = lambda: MeasuringConsumer(  # noqa: E731
                Transcriber(decoder(), info, settings), stopwatch, loss.recording()
            )
        else:
            # a loss would be that of the frames that are kept, not of the recording
            settings |= {"vad": activity.as_settings()}
            consumer = lambda: MeasuringConsumer(  # noqa: E731
                Transcriber(PausingDecoder(decoder(), vocabulary), info, settings), stopwatch
            )
    results: Iterator[Answered | Failure] = run(
        progress.reading(row.source for row in references.rows), stopwatch, consumer, options
    )
    return _items(references, results, progress), settings


def _items(
    references: References, results: Iterable[Answered | Failure], progress: Watching
) -> Iterator[Item]:
    tally = Tally()
    with progress:
        for row, result in zip(references.rows, results, strict=True):
            where = row.place or row.source.path
            if isinstance(result, Failure):
                progress.fail()
                yield Item(where, row.set, replace(result, message=row.told(result.message)))
                continue
            answer = result.answer
            progress.advance(answer)
            if isinstance(answer, Classification):
                reference, hypothesis = row.label, plain_label(answer.labels[0].label)
                score = answer.labels[0].score
            else:
                reference, hypothesis, score = row.text, answer.text, None
                tally.add(answer.hotwords)
            yield Item(
                where,
                row.set,
                Scored(
                    reference or "",
                    hypothesis,
                    row.set,
                    answer.path,
                    answer.offset,
                    answer.duration,
                    result.loss,
                    result.network_seconds,
                    score,
                    answer.channel,
                ),
            )
    tally.report()


def _with_others(references: References, labels: tuple[str, ...], others: str) -> References:
    """The rows, those with labels the model does not have counting as one of its own."""
    known, others = set(map(plain_label, labels)), plain_label(others)
    if others not in known:
        raise UsageError(
            f"--others {others}: the model has no such label", hint=f"it has {', '.join(sorted(known))}"
        )
    rows = [row if row.label in known else replace(row, label=others) for row in references.rows]
    count = sum(row.label not in known for row in references.rows)
    log.info(
        "%s: %d rows have labels the model does not know, and count as %s", references.path, count, others
    )
    return replace(references, rows=rows)


def _warn_of_unknown_labels(references: References, labels: tuple[str, ...]) -> None:
    """Tell of labels the model cannot give: their clips count as wrong."""
    known = set(map(plain_label, labels))
    unknown = Counter(row.label for row in references.rows if row.label not in known)
    for label, count in sorted(unknown.items(), key=str):
        log.warning(
            "%s: %d rows have the label %r, which the model does not know", references.path, count, label
        )


def _warn_of_unspellable(references: References, vocabulary: Vocabulary) -> None:
    """Tell of characters the model cannot write: the words that hold them count as wrong."""
    lacking = [characters for row in references.rows if (characters := vocabulary.lacking(row.text or ""))]
    if lacking:
        marks = any(not character.isalnum() for characters in lacking for character in characters)
        log.warning(
            "%s: %d of %d texts have characters the model does not write, such as %r, and a word with one "
            "always counts as wrong%s",
            references.path,
            len(lacking),
            len(references.rows),
            lacking[0][0],
            " (--normalizer basic leaves punctuation out)" if marks else "",
        )

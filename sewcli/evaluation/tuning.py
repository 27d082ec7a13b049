"""Search for the weights of a language model, over logits that were computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sewcli.decoding.decoders import decoders
from sewcli.decoding.frames import FrameFile
from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.search_workers import SearchWorkers, search_workers
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import DeviceError, InputError, SewError
from sewcli.evaluation.normalizers import Normalizer
from sewcli.evaluation.rates import Edits, Metric, character_edits, folded, word_edits
from sewcli.pipeline.ahead import mapped_ahead
from sewcli.pipeline.consumer import Consumer
from sewcli.processes.pool import DeadWorkerError
from sewcli.reading.recording import Recording

_BLOCK = 4096


class KeptLogits:
    """Logits of many recordings in one temporary file, each with what was said in it.

    Args:
        columns: of the logits.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._frames = FrameFile(columns, error=SewError)
        self._ends: list[int] = []
        self.texts: list[str] = []
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self.texts)

    def recording(self) -> _Keeper:
        """A consumer for one recording."""
        return _Keeper(self)

    def append(self, frames: NDArray[np.float32], text: str, seconds: float) -> None:
        """Take in one recording, logits of shape (T, V)."""
        for start in range(0, frames.shape[0], _BLOCK):
            self._frames.append(frames[start : start + _BLOCK])
        self._ends.append(len(self._frames))
        self.texts.append(text)
        self.seconds += seconds

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """The logits of one recording after the other, shape (T, V)."""
        rows = self._frames.mapped()
        start = 0
        for end in self._ends:
            yield rows[start:end]
            start = end

    def close(self) -> None:
        """Give the temporary file back."""
        self._frames.close()


class _Keeper(Consumer[Recording]):
    """Keeps the logits of one recording."""

    def __init__(self, kept: KeptLogits) -> None:
        self._kept = kept
        self._frames = FrameFile(kept.columns)

    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the kept frames of the next chunk, shape (T, V)."""
        self._frames.append(output)

    def result(self, recording: Recording) -> Recording:
        """The recording, once its logits are kept."""
        self._kept.append(self._frames.mapped(), recording.source.text or "", recording.duration)
        return recording

    def close(self) -> None:
        """Give the temporary file back."""
        self._frames.close()


@dataclass(frozen=True)
class Trial:
    """Decoding options, and the error rates they give.

    Attributes:
        options: that were tried.
        words, characters: edits over all utterances.
    """

    options: DecodingOptions
    words: Edits
    characters: Edits

    def as_object(self) -> dict[str, Any]:
        """For JSON."""
        options = self.options
        weights = {"alpha": options.alpha, "beta": options.beta, "beam_width": options.beam_width}
        return (weights if options.is_beam else {}) | self.rates

    @property
    def rates(self) -> dict[str, float | None]:
        """Word and character error rate."""
        return {"wer": _rounded(self.words.rate), "cer": _rounded(self.characters.rate)}


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 6)


def grid(
    options: DecodingOptions, alphas: Sequence[float], betas: Sequence[float], widths: Sequence[int]
) -> list[DecodingOptions]:
    """All combinations, alpha changing slowest."""
    return [
        replace(options, alpha=alpha, beta=beta, beam_width=width)
        for alpha, beta, width in product(alphas, betas, widths)
    ]


def attempt(
    kept: KeptLogits,
    vocabulary: Vocabulary,
    options: DecodingOptions,
    normalize: Normalizer,
    workers: SearchWorkers | None = None,
) -> Trial:
    """Decode all recordings and compare them with their texts.

    Args:
        kept: the recordings.
        vocabulary: of the model.
        options: to try.
        normalize: applied to both texts before they are compared.
        workers: that search in place of this process.

    Raises:
        UsageError: the decoder cannot be had for this model. DeviceError: a worker has ended.
            SewError: there is no room for the frames.
    """
    make, _ = decoders(options, vocabulary, times=False, workers=workers)

    def decoded(logits: NDArray[np.float32]) -> str:
        decoder = make()
        try:
            for start in range(0, logits.shape[0], _BLOCK):
                decoder.push(np.asarray(logits[start : start + _BLOCK]))
            return decoder.finish().text
        except InputError as error:  # rates of the others would not compare
            kind = DeviceError if isinstance(error, DeadWorkerError) else SewError
            raise kind(str(error), code=error.code) from error
        finally:
            decoder.close()

    words = characters = Edits()
    hypotheses = mapped_ahead(kept, decoded, workers=0 if workers is None else workers.count)
    for hypothesis, text in zip(hypotheses, kept.texts, strict=True):
        heard = folded(normalize(hypothesis))
        said = folded(normalize(text))
        words += word_edits(said, heard)[0]
        characters += character_edits(said, heard)
    return Trial(options, words, characters)


def attempts(
    kept: KeptLogits,
    vocabulary: Vocabulary,
    candidates: Sequence[DecodingOptions],
    normalize: Normalizer,
    decode_workers: int | None = 0,
) -> Iterator[Trial]:
    """`attempt` each of several beam searches.

    Args:
        kept, vocabulary, normalize: see there.
        candidates: to try.
        decode_workers: processes to search in, see `sewcli.decoding.search_workers`.
    """
    workers = search_workers(decode_workers, candidates[0])
    try:
        for candidate in candidates:
            yield attempt(kept, vocabulary, candidate, normalize, workers)
    finally:
        if workers is not None:
            workers.close()


def best_of(trials: Sequence[Trial], metric: Metric = "wer") -> Trial:
    """The one with the fewest edits, of equal ones the fewest of the other kind, then the narrowest beam."""
    return min(trials, key=lambda trial: (*edits(trial, metric), trial.options.beam_width))


def edits(trial: Trial, metric: Metric = "wer") -> tuple[int, int]:
    """In words and in characters, or the other way round: of two trials the one with fewer is better."""
    both = trial.words.total, trial.characters.total
    return both if metric == "wer" else both[::-1]

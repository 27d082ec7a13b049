"""Beam search through pyctcdecode over the logits of a recording.

pyctcdecode has no streaming decoder, and decoding chunk by chunk would split words; so the frames
of a recording wait in a temporary file that is mapped into memory when the last one has come. What
pyctcdecode holds grows with the square of the text, so a recording of more than a minute is searched in
pieces, cut where the network marks the end of a word most surely; the language model goes on from piece to
piece.
"""

from __future__ import annotations

import heapq
import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sewcli.decoding.frames import FrameFile
from sewcli.decoding.hotwords import RememberingScorer, found_in, spellable
from sewcli.decoding.hypothesis import Hypothesis, Token
from sewcli.decoding.known import KnownText
from sewcli.decoding.language_model import LanguageModel
from sewcli.decoding.options import (
    DEFAULT_BEAM_PRUNE_LOGP,
    DEFAULT_BEAM_WIDTH,
    DEFAULT_HOTWORD_WEIGHT,
    DEFAULT_TOKEN_MIN_LOGP,
)
from sewcli.decoding.support import require_pyctcdecode
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import UsageError
from sewcli.results import Alternative

#: log-posteriors below this are equally impossible; pyctcdecode cannot take -inf
_FLOOR = -50.0
#: tokens that pyctcdecode would take for a blank, the end of a word, a piece of one or an unknown word
_MISTAKEN = ("", " ", "|", "_", "\u2581", "\u2047")
#: of the characters for private use that stand for them; one for each token
_FIRST_STAND_IN = 0xF0000
#: frames of a piece: a minute at the most, half of it at the least
_LONGEST, _SHORTEST = 3000, 1500


class BeamSearch:
    """The search, built once and used for every recording.

    Args:
        vocabulary: of the model.
        width: how many prefixes are kept at each frame.
        hotwords: words and phrases to prefer, in any letter case.
        hotword_weight: how strongly.
        language_model: that scores words, or None.
        n_best: how many transcripts are given.
        token_min_logp, beam_prune_logp: see `sewcli.decoding.options.DecodingOptions`.
        times: whether to look for the times of the characters.

    Raises:
        UsageError: pyctcdecode is not installed or cannot be on this Python, or the vocabulary
            cannot spell a hotword or has tokens that are not single characters.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        width: int = DEFAULT_BEAM_WIDTH,
        hotwords: Sequence[str] = (),
        hotword_weight: float = DEFAULT_HOTWORD_WEIGHT,
        language_model: LanguageModel | None = None,
        n_best: int = 1,
        token_min_logp: float = DEFAULT_TOKEN_MIN_LOGP,
        beam_prune_logp: float = DEFAULT_BEAM_PRUNE_LOGP,
        times: bool = True,
    ) -> None:
        self.hotwords = usable_hotwords(vocabulary, hotwords, hotword_weight)
        self.vocabulary = vocabulary
        self._n_best = n_best
        self._times = times
        self._language_model = language_model
        self._options = {
            "beam_width": width,
            "hotwords": list(self.hotwords) or None,
            "hotword_weight": hotword_weight,
            "token_min_logp": token_min_logp,
            "beam_prune_logp": beam_prune_logp,
        }
        stand_ins = _stand_ins(vocabulary)
        self._meant = {ord(stand_in): vocabulary.tokens[index] for index, stand_in in stand_ins.items()}
        self._decoder = _build(vocabulary, stand_ins, language_model)
        # pyctcdecode keeps language models in its class, beyond the life of the decoder
        weakref.finalize(self, self._decoder.cleanup)

    def search(self, log_posteriors: NDArray[np.float32]) -> Hypothesis:
        """Decode all frames of a recording, shape (T, V)."""
        best = [Alternative("", 0.0, 0.0)]
        state = None
        delimiter = _delimiter_in(log_posteriors, self.vocabulary)
        mark, between = (self.vocabulary.blank, "") if delimiter is None else (delimiter, " ")
        for start, stop in _pieces(log_posteriors[:, mark]):
            if self._language_model is not None:
                self._language_model.ends = stop == log_posteriors.shape[0]
            beams = self._decoder.decode_beams(
                np.maximum(log_posteriors[start:stop, self.vocabulary.columns], _FLOOR),
                lm_start_state=state,
                **self._options,
            )
            state = beams[0][1]
            found = [
                Alternative(beam[0].translate(self._meant), float(beam[4]), float(beam[3])) for beam in beams
            ]
            best = _joined(best, found, self._n_best, between)
        text = best[0].text
        tokens: tuple[Token, ...] = ()
        if self._times and text:
            known = KnownText(text, self.vocabulary)
            # not where the spaces between pieces need more frames than there are
            if known.fits(log_posteriors.shape[0]):
                tokens = known.align(log_posteriors).tokens
        return Hypothesis(
            text,
            tokens,
            tuple(best) if self._n_best > 1 else None,
            found_in(text, self.hotwords) if self.hotwords else None,
        )


class BeamDecoder:
    """Collects the frames of one recording and has them searched through at its end.

    Args:
        vocabulary: of the model.
        search: takes all log-posteriors, in this process or another.
        nothing: the transcript of no frames.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        search: Callable[[FrameFile], Hypothesis],
        nothing: Hypothesis,
    ) -> None:
        self._vocabulary = vocabulary
        self._search = search
        self._nothing = nothing
        self._frames = FrameFile(len(vocabulary.tokens))

    def push(self, logits: NDArray[np.float32]) -> None:
        """Take in the logits of the next frames, shape (T, V)."""
        self._frames.append(self._vocabulary.log_posteriors(logits))

    def finish(self) -> Hypothesis:
        """The best transcript of all frames (DeadWorkerError where the process that searched has ended)."""
        return self._search(self._frames) if len(self._frames) else self._nothing

    def close(self) -> None:
        """Give the temporary file back."""
        self._frames.close()


def usable_hotwords(vocabulary: Vocabulary, hotwords: Sequence[str], weight: float) -> tuple[str, ...]:
    """The hotwords as the vocabulary spells them, once it is known to be one for beam search.

    Raises:
        UsageError: it has tokens of several characters, cannot spell a hotword, or the weight is none.
    """
    longer = sorted(token for token in vocabulary.text_tokens if len(token) > 1)
    if longer:
        raise UsageError(
            f"beam search needs tokens of one character; this model's vocabulary has {longer[0]!r}",
            hint="use --decoder greedy",
        )
    if not 0 <= weight < float("inf"):
        raise UsageError(f"the weight of hotwords is {weight:g}; it must be a number from 0 up")
    return spellable(vocabulary, hotwords)


def _delimiter_in(log_posteriors: NDArray[np.float32], vocabulary: Vocabulary) -> int | None:
    """The delimiter, if one is heard in what is searched in pieces: not all languages write words apart."""
    if vocabulary.delimiter is None or log_posteriors.shape[0] <= _LONGEST:
        return vocabulary.delimiter
    heard = (log_posteriors.argmax(axis=1) == vocabulary.delimiter).any()
    return vocabulary.delimiter if heard else None


def _pieces(mark: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """First frame and end of each piece, which ends with the frame that is surest to lie between two words.

    Args:
        mark: log-posteriors of what lies between them, shape (T,).
    """
    start, frames = 0, mark.size
    while frames - start > _LONGEST:
        window = mark[start + _SHORTEST : start + _LONGEST]
        stop = start + _SHORTEST + int(window.argmax()) + 1
        yield start, stop
        start = stop
    yield start, frames


def _joined(
    before: list[Alternative], piece: list[Alternative], count: int, between: str
) -> list[Alternative]:
    """The best ways to go on from what came before with a piece, best first, each text once.

    Scores of pieces are added, as logarithms of probabilities are.

    Args:
        before: the best ways to the end of the piece before.
        piece: those through this one.
        count: how many to keep.
        between: what stands between the texts of two pieces: a space where they end with words.
    """
    found: dict[str, Alternative] = {}
    for one in before:
        for other in piece[: 2 * count]:
            text = f"{one.text}{between}{other.text}".strip()
            scores = one.score + other.score, one.network_score + other.network_score
            if text not in found or scores[0] > found[text].score:
                found[text] = Alternative(text, *scores)
    return heapq.nlargest(count, found.values(), key=lambda one: one.score)


def _stand_ins(vocabulary: Vocabulary) -> dict[int, str]:
    """What is written for text that pyctcdecode would take for something else, by token."""
    roles = (vocabulary.blank, vocabulary.delimiter)
    return {
        index: chr(_FIRST_STAND_IN + index)
        for index in vocabulary.columns
        if index not in roles and vocabulary.tokens[index] in _MISTAKEN
    }


def _build(vocabulary: Vocabulary, stand_ins: dict[int, str], language_model: LanguageModel | None) -> Any:
    require_pyctcdecode()
    # it recommends kenlm at import, which only language models need
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    from pyctcdecode import Alphabet, BeamSearchDecoderCTC

    class Decoder(BeamSearchDecoderCTC):  # type: ignore[misc]
        """With scores of hotwords looked up once, not for each beam of each frame."""

        def _decode_logits(self, logits: Any, *, hotword_scorer: Any, **how: Any) -> Any:
            remembering = RememberingScorer(hotword_scorer)
            return super()._decode_logits(logits, hotword_scorer=remembering, **how)

    labels = []
    for index in vocabulary.columns:
        if index == vocabulary.blank:
            labels.append("")
        elif index == vocabulary.delimiter:
            labels.append(" ")
        else:
            labels.append(stand_ins.get(index, vocabulary.tokens[index]))
    return Decoder(Alphabet.build_alphabet(labels), language_model)

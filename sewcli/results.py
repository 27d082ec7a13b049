"""What flows out of the pipeline: frozen values, times in seconds.

Nothing here depends on how a result was made or how it will be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Span:
    """A word or a character of a transcript.

    Attributes:
        text: as the vocabulary spells it.
        start, end: in seconds from the beginning of the file.
        confidence: geometric mean of the posteriors of its characters' frames, blanks excluded,
            between 0 and 1.
        fits: whether a known word was found where it was aligned; None where nothing is said on that.
    """

    text: str
    start: float
    end: float
    confidence: float
    fits: bool | None = None


@dataclass(frozen=True)
class ModelInfo:
    """Which model made a result.

    Attributes:
        id: alias, hub repository or directory, as the user would name it.
        revision: commit of the hub repository or version of an embedded model; None if unknown.
        language: ISO 639-1 code; None if unknown.
        start_offset, end_offset: seconds added to the starts and ends of its words, which it gives with a
            known bias; see `sewcli.decoding.offsets`.
    """

    id: str
    revision: str | None = None
    language: str | None = None
    start_offset: float = 0.0
    end_offset: float = 0.0


@dataclass(frozen=True)
class Alternative:
    """One of the best transcripts of beam search.

    Attributes:
        text: the transcript.
        score: natural logarithm of the probability of the text by the network, plus what language model
            and hotwords add.
        network_score: the first of these alone, as far as the beam has kept its paths.
    """

    text: str
    score: float
    network_score: float


@dataclass(frozen=True)
class Transcript:
    """What was said in one input.

    Attributes:
        path: of the input, as given.
        duration: of the audio that was read, in seconds.
        text: the transcript; empty where nothing was recognised.
        words, chars: with times and confidence, or None where they were not asked for.
        model: that made it.
        settings: everything that can change the text.
        offset: where a part of a file began, in seconds; None for a whole file.
        channel: that was read, from 0; None where all were mixed.
        alternatives: the best transcripts, `text` first; None where only one was asked for.
        hotwords: how often each hotword is in the text; None where there are none.
    """

    path: str
    duration: float
    text: str
    model: ModelInfo
    words: tuple[Span, ...] | None = None
    chars: tuple[Span, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    offset: float | None = None
    channel: int | None = None
    alternatives: tuple[Alternative, ...] | None = None
    hotwords: Mapping[str, int] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class LabelScore:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """The labels of one clip, best first."""

    path: str
    duration: float
    labels: tuple[LabelScore, ...]
    model: ModelInfo
    offset: float | None = None
    channel: int | None = None


@dataclass(frozen=True)
class KeywordEvent:
    """A keyword heard in a recording.

    Attributes:
        path: of the input, as given.
        label: as the model spells it.
        start, end: of the hits, see `sewcli.spotting.events`; in seconds from the beginning of the file.
        score: the highest smoothed score.
        offset, channel: see `Transcript`.
    """

    path: str
    label: str
    start: float
    end: float
    score: float
    offset: float | None = None
    channel: int | None = None


@dataclass(frozen=True)
class Detections:
    """All events of one input, in the order in which they ended."""

    path: str
    duration: float
    events: tuple[KeywordEvent, ...]
    model: ModelInfo
    offset: float | None = None
    channel: int | None = None


@dataclass(frozen=True, eq=False)  # arrays are not equal or unequal
class Attention:
    """What the states of one chunk of an input attended to, in every layer and head.

    Attributes:
        weights: float32, shape (layers, heads, Q, K), each row of K a distribution; may be mapped.
        first_query: number in the input of the first of the Q states, of 40 ms, that ask.
        first_key: number of the first of the K states that the chunk holds, context included.
    """

    weights: NDArray[np.float32]
    first_query: int
    first_key: int


@dataclass(frozen=True, eq=False)
class Embedding:
    """Hidden states of one input.

    Attributes:
        path: of the input, as given.
        duration: of the audio that was read, in seconds.
        states: float32, shape (T, hidden), or (hidden,) where they were pooled; may be mapped from a file.
        layer: number of the hidden layer; None for last_hidden_state.
        frame_seconds: what one state stands for; None where they were pooled.
        model: that made them.
        settings: everything that can change the values.
        offset, channel: see `Transcript`.
        attentions: of each chunk, in order; None where they were not asked for.
    """

    path: str
    duration: float
    states: NDArray[np.float32]
    layer: int | None
    frame_seconds: float | None
    model: ModelInfo
    settings: Mapping[str, Any] = field(default_factory=dict)
    offset: float | None = None
    channel: int | None = None
    attentions: tuple[Attention, ...] | None = None


@dataclass(frozen=True)
class Failure:
    """An input that could not be done.

    Attributes:
        path: of the input, as given.
        code: short stable identifier of what is wrong.
        message: one line that names the input, says what is wrong and what to do next.
        channel: that was to be read, from 0; None where all are mixed.
        offset: where the part of the input that was to be read begins, in seconds; None for all of it.
        row: of a manifest that names the input anew: its file, part and text; None where that cannot be.
    """

    path: str
    code: str
    message: str
    channel: int | None = None
    offset: float | None = None
    row: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)

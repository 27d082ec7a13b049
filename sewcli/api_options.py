"""Options of the methods of `sewcli.api.Model`, typed, and their check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict, get_args, get_origin, get_type_hints

from sewcli.activity_options import ActivityOptions
from sewcli.errors import UsageError


class Part(TypedDict, total=False):
    """What to read of each input.

    Attributes:
        start, end: in seconds from its beginning; all by default.
        channel: from 0; the mean of all by default.
        batch_seconds: audio in one batch; by default what suits the device.
        audio_engine: "soundfile" streams, "librosa" is librosa.load.
    """

    start: float
    end: float
    channel: int
    batch_seconds: float
    audio_engine: Literal["soundfile", "librosa"]


class TranscribeOptions(Part, total=False):
    """How to transcribe; the options of `sew transcribe`, with their defaults.

    Attributes:
        timestamps: "none", "word" (the default) or "char".
        decoder: "greedy" or "beam"; by default beam where there is a language model.
        beam_width, hotwords, hotword_weight, n_best, token_min_logp, beam_prune_logp: for beam.
        lm: "builtin" or the file of a language model; a KenLM binary needs `unigrams`, a file of its words.
        alpha, beta, unk_score: weight of the language model, what a word adds, and one that it does not know.
        chunk, stride: seconds that the network reads at a time, and of each end that is context only.
        statistics: normalise by the whole "file" (the default) or by each "chunk".
        vad: leave long silences out; off by default. True, or the settings.
    """

    timestamps: Literal["none", "word", "char"]
    decoder: Literal["greedy", "beam"]
    beam_width: int
    hotwords: Sequence[str]
    hotword_weight: float
    lm: str
    unigrams: str
    alpha: float
    beta: float
    unk_score: float
    n_best: int
    token_min_logp: float
    beam_prune_logp: float
    chunk: float
    stride: float
    statistics: Literal["file", "chunk"]
    vad: bool | ActivityOptions


class ClassifyOptions(Part, total=False):
    """How to classify.

    Attributes:
        top: how many labels, best first; 1 by default.
    """

    top: int


class SpotOptions(Part, total=False):
    """How to look for keywords in long audio; see `sewcli.spotting.options.SpottingOptions`.

    Attributes:
        window, hop: seconds of a window, and from one to the next.
        smooth: how many windows a score is the mean of.
        threshold: the least score of a hit.
        merge_gap: seconds without a hit that an event may hold.
        gate: dB of full scale; windows below are not run.
        labels: the only ones that make events; all by default.
    """

    window: float
    hop: float
    smooth: int
    threshold: float
    merge_gap: float
    gate: float
    labels: Sequence[str]


def check_options(options: Any, known: Any) -> None:
    """Refuse an option that there is not (TypeError) and a value that is no choice (UsageError)."""
    hints = get_type_hints(known)
    for name, value in options.items():
        if name not in hints:
            raise TypeError(f"unknown option {name!r}; there are {', '.join(hints)}")
        if get_origin(hints[name]) is Literal and value not in get_args(hints[name]):
            raise UsageError(f"{name}={value!r}", hint=f"one of {', '.join(get_args(hints[name]))}")

"""Options of the methods of `sewcli.api.Model`, typed, and their check."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, TypedDict, get_args, get_origin, get_type_hints

import numpy as np

from sewcli.casing import Case
from sewcli.chunking import ChunkPlan
from sewcli.decoding.options import OF_LANGUAGE_MODEL, OF_SEARCH, DecodingOptions, with_defaults
from sewcli.errors import UsageError
from sewcli.model_defaults import OptionDefaults
from sewcli.pipeline.run import Options
from sewcli.reading.activity_options import ActivityOptions

_TOLD = {int: "a whole number", float: "a number", bool: "True or False", str: "a string"}
_TOLD |= {os.PathLike[str]: "a path"}
#: the least and the most of a number, where what uses it does not say
_RANGES = {
    "batch_seconds": (0, math.inf),
    "decode_workers": (0, math.inf),
    "beam_width": (1, math.inf),
    "n_best": (1, math.inf),
    "min_confidence": (0, 1),
}


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


class Chunks(TypedDict, total=False):
    """How long recordings are read.

    Attributes:
        chunk, stride: seconds that the network reads at a time, and of each end that is context only; by
            default those of the model's entry in models.toml, or else 20 and 1.
        statistics: normalise by the whole "file" (the default) or by each "chunk".
    """

    chunk: float
    stride: float
    statistics: Literal["file", "chunk"]


class Readers(TypedDict, total=False):
    """What reads the inputs.

    Attributes:
        read_workers: processes that decode audio beside the network; 0 for threads, None (the default) for
            what suits the device: some beside a GPU where there are more than a handful of files.
    """

    read_workers: int | None


class DecodeOptions(TypedDict, total=False):
    """How logits become text; the options of `sew decode`, with their defaults.

    Attributes:
        timestamps: "none", "word" (the default) or "char".
        decoder: "greedy" or "beam"; by default beam where there is a language model.
        beam_width, hotwords, hotword_weight, n_best, token_min_logp, beam_prune_logp: for beam. Decoder, beam
            width, alpha and beta may have other defaults in the model's entry of models.toml.
        lm: "builtin" or the file of a language model; a KenLM binary needs `unigrams`, a file of its words.
        alpha, beta, unk_score: weight of the language model, what a word adds, and one that it does not know.
        case: "as-is" (the default: as the vocabulary spells it), "upper", "lower" or "sentence".
        decode_workers: processes for beam search beside the network; 0 for none, None for what suits the
            machine. By default 0 for one input, None for many.
    """

    timestamps: Literal["none", "word", "char"]
    decoder: Literal["greedy", "beam"]
    beam_width: int
    hotwords: Sequence[str]
    hotword_weight: float
    lm: str | os.PathLike[str]
    unigrams: str | os.PathLike[str]
    alpha: float
    beta: float
    unk_score: float
    n_best: int
    token_min_logp: float
    beam_prune_logp: float
    case: Case
    decode_workers: int | None


class TranscribeOptions(Part, Readers, Chunks, DecodeOptions, total=False):
    """How to transcribe; the options of `sew transcribe`, with their defaults. See `DecodeOptions` too.

    Attributes:
        vad: leave long silences out; off by default. True, or the settings.
    """

    vad: bool | ActivityOptions


class AlignOptions(Part, Readers, Chunks, total=False):
    """How to align a known text; the options of `sew align`, with their defaults.

    Attributes:
        timestamps: "char" (the default) for words and characters, or "word".
        min_confidence: a word below does not fit.
        ignore_punctuation: marks that the model does not write stay in the words and are not looked for.
    """

    timestamps: Literal["word", "char"]
    min_confidence: float
    ignore_punctuation: bool


class EmbedOptions(Part, Readers, Chunks, total=False):
    """Which hidden states; the options of `sew embed`, with their defaults.

    Attributes:
        layer: 0 for what the first one reads, n for what layer n gives; last_hidden_state by default.
        pool: "none" (the default), or "mean" for one state a recording.
        attentions: give the attention weights of every layer and head too.
    """

    layer: int
    pool: Literal["none", "mean"]
    attentions: bool


class ClassifyOptions(Part, Readers, total=False):
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


def checked_options(options: Any, known: Any) -> Any:
    """The options that are given; None counts as not given, unless the option has a meaning for it.

    Args:
        options: by name.
        known: the class of those there are.

    Raises:
        TypeError: there is no such option. UsageError: a value is of another type or out of range.
    """
    hints = get_type_hints(known)
    given = {}
    for name, value in options.items():
        if name not in hints:
            raise TypeError(f"unknown option {name!r}; there are {', '.join(hints)}")
        if value is None and NoneType not in get_args(hints[name]):
            continue
        given[name] = _checked(name, value, hints[name])
    return given


def _checked(name: str, value: Any, hint: Any) -> Any:
    """A value as an option has it (UsageError where it cannot have it)."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise UsageError(f"{name}={value!r}", hint=f"one of {', '.join(get_args(hint))}")
        return value
    if hint == Sequence[str]:
        if isinstance(value, str):
            raise UsageError(f"{name}={value!r}: a list of words is needed", hint=f"{name}=[{value!r}]")
        words = tuple(value) if isinstance(value, Iterable) else (value,)
        if not all(isinstance(one, str) for one in words):
            raise UsageError(f"{name}={value!r}: a list of words is needed")
        if name == "labels" and not words:
            raise UsageError("labels=[] would find nothing", hint="leave it out for all labels")
        return words
    kinds = get_args(hint) or (hint,)
    if not any(is_kind(value, kind) for kind in kinds):
        told = " or ".join(_TOLD.get(kind, kind.__name__) for kind in kinds if kind is not NoneType)
        raise UsageError(f"{name}={value!r}: {told} is needed")
    least, most = _RANGES.get(name, (-math.inf, math.inf))
    if value is not None and name in _RANGES and not least <= value <= most:
        upper = f" to {most}" if most < math.inf else " up"
        raise UsageError(f"{name}={value!r}: a number from {least}{upper} is needed")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return bool(value) if bool in kinds and is_kind(value, bool) else value


def is_kind(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind; numbers of numpy are numbers, and truth values are none."""
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    if kind is bool:
        return isinstance(value, bool | np.bool_)
    return isinstance(value, get_origin(kind) or kind)


_Needed = tuple[str, Callable[[DecodingOptions], object]]
_SEARCH: _Needed = ("decoder='beam'", lambda options: options.is_beam)
_MODEL: _Needed = ("lm", lambda options: options.lm)
_HOTWORDS: _Needed = ("hotwords", lambda options: options.hotwords)
#: options that do nothing without another
_IDLE_WITHOUT = {
    **dict.fromkeys(OF_SEARCH, _SEARCH),
    **dict.fromkeys(OF_LANGUAGE_MODEL, _MODEL),
    "hotword_weight": _HOTWORDS,
}


def decoding_options(options: Any, defaults: OptionDefaults | None = None) -> DecodingOptions:
    """How logits become text (UsageError where the options do not go together).

    Args:
        options: by name.
        defaults: of the model, where it is known.
    """
    names = {field.name for field in fields(DecodingOptions)}
    given = {name: options[name] for name in names & options.keys()}
    decoding = DecodingOptions(**with_defaults(given, defaults))
    decoding.check()
    for name, (needed, has) in _IDLE_WITHOUT.items():
        # a list of hotwords that happens to be empty is one
        if name in given and needed not in given and not has(decoding):
            raise UsageError(f"{name} has no effect without {needed}", hint="leave it out")
    return decoding


def reading_options(options: Any, batch_seconds: float, defaults: OptionDefaults) -> Options:
    """How recordings are read, by the options that are there (UsageError where they cannot work).

    Args:
        options: by name.
        batch_seconds: audio in one batch.
        defaults: of the model.
    """
    try:
        plan = ChunkPlan.from_seconds(*defaults.chunk_seconds(options.get("chunk"), options.get("stride")))
    except ValueError as error:
        raise UsageError(str(error), hint="for example chunk=20, stride=1") from error
    wanted = options.get("vad", False)
    activity = (ActivityOptions() if wanted else None) if isinstance(wanted, bool) else wanted
    if activity is not None:
        activity.checked()
    return Options(
        plan,
        batch_seconds,
        options.get("statistics", "file") == "file",
        options.get("audio_engine", "soundfile"),
        activity=activity,
        read_workers=options.get("read_workers"),
    )

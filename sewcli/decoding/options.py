"""How logits become text: the options of the decoders, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sewcli.casing import AS_IS, Case
from sewcli.decoding.support import require_pyctcdecode
from sewcli.errors import UsageError

if TYPE_CHECKING:
    from sewcli.decoding.language_model import LanguageModelFile
    from sewcli.model_defaults import OptionDefaults

DEFAULT_ALPHA = 0.75
DEFAULT_BETA = 1.5
DEFAULT_UNKNOWN = -10.0
DEFAULT_TOKEN_MIN_LOGP = -5.0
DEFAULT_BEAM_PRUNE_LOGP = -10.0
DEFAULT_HOTWORD_WEIGHT = 10.0
DEFAULT_BEAM_WIDTH = 100
#: confidence below which a word of a known text does not fit; docs/alignment.md has how it was chosen
DEFAULT_MIN_CONFIDENCE = 0.02


def with_defaults(given: Mapping[str, Any], defaults: OptionDefaults | None) -> dict[str, Any]:
    """Options by name, with those of the model in place of what is not given.

    Args:
        given: what is None is not given.
        defaults: of the model, or None where it is not known. Its decoder is for runs without a language
            model.
    """
    made = {name: value for name, value in given.items() if value is not None}
    if defaults is not None:
        names = ("beam_width", "alpha", "beta") + (() if "lm" in made else ("decoder",))
        of_model = {name: getattr(defaults, name) for name in names}
        made = {name: value for name, value in of_model.items() if value is not None} | made
    return made


#: options that do nothing without beam search, and without a language model
OF_SEARCH = ("beam_width", "token_min_logp", "beam_prune_logp")
OF_LANGUAGE_MODEL = ("alpha", "beta", "unk_score")


@dataclass(frozen=True)
class DecodingOptions:
    """How logits become text.

    Attributes:
        decoder: "greedy" or "beam"; None is beam with a language model, greedy without.
        beam_width: prefixes kept at each frame.
        hotwords: words and phrases to prefer, in any letter case.
        hotword_weight: how strongly.
        lm: "builtin" or the file of a language model, or None.
        unigrams: file with its words, one a line; an ARPA file has them itself.
        alpha, beta, unk_score: see `sewcli.decoding.language_model.LanguageModel`.
        n_best: how many transcripts are given, the best one among them.
        token_min_logp: tokens of a smaller log-posterior are not tried at a frame, but for its best one.
        beam_prune_logp: prefixes so much worse than the best one are dropped.
        case: letter case of the text, see `sewcli.casing`.
    """

    decoder: str | None = None
    beam_width: int = DEFAULT_BEAM_WIDTH
    hotwords: Sequence[str] = ()
    hotword_weight: float = DEFAULT_HOTWORD_WEIGHT
    lm: str | None = None
    unigrams: str | None = None
    alpha: float = DEFAULT_ALPHA
    beta: float = DEFAULT_BETA
    unk_score: float = DEFAULT_UNKNOWN
    n_best: int = 1
    token_min_logp: float = DEFAULT_TOKEN_MIN_LOGP
    beam_prune_logp: float = DEFAULT_BEAM_PRUNE_LOGP
    case: Case = AS_IS

    @property
    def is_beam(self) -> bool:
        """Whether it is beam search."""
        return self.decoder == "beam" or (self.decoder is None and self.lm is not None)

    def check(self) -> None:
        """Refuse what cannot work, before a model is loaded (UsageError)."""
        if not self.is_beam:
            for name, given in (
                ("hotwords need", self.hotwords),
                ("more than one transcript needs", self.n_best > 1),
            ):
                if given:
                    raise UsageError(
                        f"{name} beam search", hint="add --decoder beam, in Python decoder='beam'"
                    )
            if self.lm is not None:
                raise UsageError(
                    "a language model goes with beam search, not with greedy decoding",
                    hint="leave out --decoder greedy, or --lm",
                )
        if self.n_best > self.beam_width:
            raise UsageError(
                f"--n-best {self.n_best}: a beam of {self.beam_width} ends in no more transcripts than that",
                hint=f"add --beam-width {self.n_best}, which can change the best one too",
            )
        if self.unigrams is not None and self.lm is None:
            raise UsageError("--unigrams are those of a language model", hint="add --lm FILE")
        for name, value in (("alpha", self.alpha), ("beta", self.beta), ("unk-score", self.unk_score)):
            if not math.isfinite(value):
                raise UsageError(f"--{name} {value:g}: it must be a number")
        for name, value in (
            ("token-min-logp", self.token_min_logp),
            ("beam-prune-logp", self.beam_prune_logp),
        ):
            if not value < 0:
                raise UsageError(f"--{name} {value:g}: it must be a number below 0")
        if self.is_beam:
            require_pyctcdecode()
        if self.lm is not None:
            assert self.found_lm is not None

    @cached_property
    def found_lm(self) -> LanguageModelFile | None:
        """The language model, found but not loaded (UsageError); None where there is none."""
        if self.lm is None:
            return None
        from sewcli.decoding.language_model import LanguageModelFile

        return LanguageModelFile.find(self.lm, self.unigrams)

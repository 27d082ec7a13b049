"""How logits become text: the options of the decoders, checked, and the decoders made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from sewcli.decoding.support import require_pyctcdecode
from sewcli.errors import UsageError

if TYPE_CHECKING:
    from sewcli.decoding.beam import BeamSearch
    from sewcli.decoding.frames import FrameFile
    from sewcli.decoding.hypothesis import Hypothesis
    from sewcli.decoding.language_model import LanguageModelFile
    from sewcli.decoding.search_workers import SearchWorkers
    from sewcli.decoding.vocabulary import Vocabulary
    from sewcli.recognition import Decoder

DEFAULT_ALPHA = 0.75
DEFAULT_BETA = 1.5
DEFAULT_UNKNOWN = -10.0
DEFAULT_TOKEN_MIN_LOGP = -5.0
DEFAULT_BEAM_PRUNE_LOGP = -10.0
DEFAULT_HOTWORD_WEIGHT = 10.0
DEFAULT_BEAM_WIDTH = 100
#: confidence below which a word of a known text does not fit; docs/alignment.md has how it was chosen
DEFAULT_MIN_CONFIDENCE = 0.02


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
                    raise UsageError(f"{name} beam search", hint="add --decoder beam")
            if self.lm is not None:
                raise UsageError(
                    "a language model goes with beam search, not with greedy decoding",
                    hint="leave out --decoder greedy, or --lm",
                )
        if self.unigrams is not None and self.lm is None:
            raise UsageError("--unigrams are those of a language model", hint="add --lm FILE")
        for name, value in (("alpha", self.alpha), ("beta", self.beta), ("unk-score", self.unk_score)):
            if not math.isfinite(value):
                raise UsageError(f"--{name} {value:g}: it is a number")
        for name, value in (
            ("token-min-logp", self.token_min_logp),
            ("beam-prune-logp", self.beam_prune_logp),
        ):
            if not value < 0:
                raise UsageError(f"--{name} {value:g}: it is a number below 0")
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

    def decoders(
        self, vocabulary: Vocabulary, *, times: bool = True, workers: SearchWorkers | None = None
    ) -> tuple[Callable[[], Decoder], dict[str, Any]]:
        """What makes the decoder of one recording, and the settings that go on record.

        Args:
            vocabulary: of the model.
            times: whether words and characters need their times.
            workers: that search in place of this process; they load the language model, and what is wrong
                with it comes out when the first recording is searched through.

        Raises:
            UsageError: the vocabulary is not for beam search, or cannot spell a hotword.
        """
        if not self.is_beam:
            from sewcli.decoding.greedy import GreedyDecoder

            return lambda: GreedyDecoder(vocabulary), {"decoder": "greedy"}
        from sewcli.decoding.beam import BeamDecoder, usable_hotwords

        hotwords = usable_hotwords(vocabulary, self.hotwords, self.hotword_weight)
        search: Callable[[FrameFile], Hypothesis]
        if workers is None:
            here = self.search(vocabulary, times=times)
            search = lambda frames: here.search(frames.mapped())  # noqa: E731
        else:
            from sewcli.decoding.search_worker import Setup

            setup = Setup(self, vocabulary, times)
            workers.prepare(setup)
            search = partial(workers.search, setup)
        settings: dict[str, Any] = {"decoder": "beam", "beam_width": self.beam_width}
        if self.found_lm is not None:
            settings |= self.found_lm.settings()
            settings |= {"alpha": self.alpha, "beta": self.beta, "unk_score": self.unk_score}
        settings |= {
            "hotwords": list(hotwords),
            "hotword_weight": self.hotword_weight,
            "token_min_logp": self.token_min_logp,
            "beam_prune_logp": self.beam_prune_logp,
        }
        return lambda: BeamDecoder(vocabulary, search), settings

    def search(self, vocabulary: Vocabulary, *, times: bool = True) -> BeamSearch:
        """The beam search, with its language model loaded; see `decoders`."""
        from sewcli.decoding.beam import BeamSearch

        model = None
        if self.found_lm is not None:
            model = self.found_lm.load(vocabulary, self.alpha, self.beta, self.unk_score)
        return BeamSearch(
            vocabulary,
            width=self.beam_width,
            hotwords=self.hotwords,
            hotword_weight=self.hotword_weight,
            language_model=model,
            n_best=self.n_best,
            token_min_logp=self.token_min_logp,
            beam_prune_logp=self.beam_prune_logp,
            times=times,
        )

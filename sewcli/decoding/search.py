"""What beam search searches with, in this process or in one of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.vocabulary import Vocabulary

if TYPE_CHECKING:
    from sewcli.decoding.beam import BeamSearch


@dataclass(frozen=True)
class Setup:
    """What to search with.

    Attributes:
        options: of the search.
        vocabulary: of the model.
        times: whether to look for the times of the characters.
    """

    options: DecodingOptions
    vocabulary: Vocabulary
    times: bool

    def load(self) -> BeamSearch:
        """The search, with its language model loaded (SewError where it cannot be had)."""
        from sewcli.decoding.beam import BeamSearch

        options, model = self.options, None
        if options.found_lm is not None:
            model = options.found_lm.load(
                self.vocabulary, options.alpha, options.beta, options.unk_score, options.hotwords
            )
        return BeamSearch(
            self.vocabulary,
            width=options.beam_width,
            hotwords=options.hotwords,
            hotword_weight=options.hotword_weight,
            language_model=model,
            n_best=options.n_best,
            token_min_logp=options.token_min_logp,
            beam_prune_logp=options.beam_prune_logp,
            times=self.times,
        )

"""The decoders that options stand for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sewcli.casing import AS_IS
from sewcli.decoding.frames import FrameFile
from sewcli.decoding.hypothesis import Hypothesis
from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.search import Setup
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.results import Alternative

if TYPE_CHECKING:
    from sewcli.decoding.search_workers import SearchWorkers


class Decoder(Protocol):
    """Makes text of the logits of one recording."""

    def push(self, logits: NDArray[np.float32]) -> None:
        """Take in the logits of the next frames, shape (T, V)."""

    def finish(self) -> Hypothesis:
        """The transcript of all frames so far (InputError where it cannot be had)."""

    def close(self) -> None:
        """Give resources back."""


def decoders(
    options: DecodingOptions,
    vocabulary: Vocabulary,
    *,
    times: bool = True,
    workers: SearchWorkers | None = None,
) -> tuple[Callable[[], Decoder], dict[str, Any]]:
    """What makes the decoder of one recording, and the settings that go on record.

    Args:
        options: how logits become text.
        vocabulary: of the model.
        times: whether words and characters need their times.
        workers: that search in place of this process; they load the language model, and what is wrong
            with it comes out when the first recording is searched through.

    Raises:
        UsageError: the vocabulary is not for beam search, or cannot spell a hotword.
    """
    if not options.is_beam:
        from sewcli.decoding.greedy import GreedyDecoder

        return lambda: GreedyDecoder(vocabulary), {"decoder": "greedy"} | _case(options)
    from sewcli.decoding.beam import BeamDecoder, usable_hotwords

    hotwords = usable_hotwords(vocabulary, options.hotwords, options.hotword_weight)
    search: Callable[[FrameFile], Hypothesis]
    if workers is None:
        here = Setup(options, vocabulary, times).load()
        search = lambda frames: here.search(frames.mapped())  # noqa: E731
    else:
        search = partial(workers.search, Setup(options, vocabulary, times))
    settings: dict[str, Any] = {"decoder": "beam", "beam_width": options.beam_width}
    if options.found_lm is not None:
        settings |= options.found_lm.settings()
        settings |= {"alpha": options.alpha, "beta": options.beta, "unk_score": options.unk_score}
    if hotwords:
        settings |= {"hotwords": list(hotwords), "hotword_weight": options.hotword_weight}
    settings |= {"token_min_logp": options.token_min_logp, "beam_prune_logp": options.beam_prune_logp}
    nothing = Hypothesis(
        "",
        (),
        (Alternative("", 0.0, 0.0),) if options.n_best > 1 else None,
        dict.fromkeys(hotwords, 0) if hotwords else None,
    )
    return lambda: BeamDecoder(vocabulary, search, nothing), settings | _case(options)


def _case(options: DecodingOptions) -> dict[str, str]:
    """The letter case on record, where it is not that of the vocabulary."""
    return {} if options.case == AS_IS else {"case": options.case}

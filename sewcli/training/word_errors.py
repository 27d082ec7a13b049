"""The expected word errors around the best path of a CTC model, as a loss.

CTC makes a transcript likely, summed over all of its paths. Greedy decoding reads one path, and what counts
in the end are its words. The expected transcription loss (Graves and Jaitly, "Towards End-To-End Speech
Recognition with Recurrent Neural Networks", ICML 2014, section 4) asks for these. There paths are drawn at
random and the tokens of each are exchanged in turn; here the path is the one that greedy decoding reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import Batch
from sewcli.chunking import PAIR
from sewcli.decoding.vocabulary import Vocabulary

#: posterior below which a token is not tried
_LEAST = 0.01


class WordErrorLoss:
    """How many more words would be wrong, were a token of the best path drawn and not chosen.

    For every frame of the best path and every other token k that is likely there (a posterior p(k) above
    0.01), d(k) is the number of word errors with that token less those of the path. The loss is the sum of
    p(k) d(k) for each word of the transcripts. So tokens that would mend a word become likelier, those that
    would spoil one less likely, and a frame where no exchange changes a word has no gradient.

    Args:
        vocabulary: of the columns of the logits.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._blank = vocabulary.blank
        self._allowed = np.zeros(len(vocabulary.tokens), dtype=bool)
        self._allowed[vocabulary.columns] = True
        self._spelled = list(vocabulary.tokens)
        self._spelled[vocabulary.blank] = ""
        if vocabulary.delimiter is not None:
            self._spelled[vocabulary.delimiter] = " "

    def loss(self, logits: torch.Tensor, batch: Batch, targets: Sequence[Sequence[int]]) -> torch.Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: (B, frames, vocabulary).
            batch: that gave them.
            targets: ids of the transcripts.
        """
        posteriors = logits.float().softmax(-1)
        values = posteriors.detach().cpu().numpy()
        words, places, changes = 0, [(0, 0, 0)], [0]  # an exchange of no effect, lest there be none
        for row, (frames, ids) in enumerate(zip(batch.frame_counts, targets, strict=True)):
            reference = "".join(self._spelled[token] for token in ids).split()
            words += len(reference)
            for frame, token, change in self.changes(values[row, : frames // PAIR * PAIR], reference):
                places.append((row, frame, token))
                changes.append(change)
        exchanged = posteriors[tuple(torch.tensor(places, device=logits.device).T)]
        counted = torch.tensor(changes, dtype=exchanged.dtype, device=logits.device)
        # no product of matrices, which autocast would round
        return (exchanged * counted).sum() / max(1, words)

    def changes(
        self, posteriors: NDArray[np.float32], reference: Sequence[str]
    ) -> Iterator[tuple[int, int, int]]:
        """The exchanges of one token of the best path for a likely one that change its word errors.

        Args:
            posteriors: (frames, vocabulary).
            reference: words of the transcript.

        Yields:
            The frame, the token that takes the place of the best one, and the change of the errors.
        """
        from rapidfuzz.distance.Levenshtein import distance

        best = np.where(self._allowed, posteriors, -1.0).argmax(axis=1)
        tried = self._allowed & (posteriors > _LEAST)
        tried[np.arange(best.size), best] = False
        # place t + 1 of the path is frame t; the blanks around it say nothing
        path = [self._blank, *best.tolist(), self._blank]
        said = ["", *(self._said(before, token) for before, token in pairwise(path))]
        text = "".join(said)
        ends = list(accumulate(map(len, said)))
        known = {text: distance(reference, text.split())}
        errors = known[text]
        for frame, token in zip(*(index.tolist() for index in np.nonzero(tried)), strict=True):
            before, _, following = path[frame : frame + 3]
            here = self._said(before, token) + self._said(token, following)
            changed = text[: ends[frame]] + here + text[ends[frame + 2] :]
            if changed not in known:
                known[changed] = distance(reference, changed.split())
            if known[changed] != errors:
                yield frame, token, known[changed] - errors

    def _said(self, before: int, token: int) -> str:
        """What a token says after another: nothing where they are the same."""
        return "" if token == before else self._spelled[token]

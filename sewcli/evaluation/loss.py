"""The CTC loss of a reference, as SEWForCTC and SEWDForCTC of transformers compute it.

transformers takes the log-softmax over all columns, every frame of the utterance (an odd last one,
whose logits are the bias of the head, included) and the settings of the model's configuration:

    nll   = -log sum over all paths that spell the text of the product of their posteriors
    loss  = nll / tokens of the text     ctc_loss_reduction "mean"
            nll                          "sum", "none"
            0 instead of infinity        ctc_zero_infinity

nll is the forward algorithm of Graves et al. 2006, section 4.1. Of a batch "mean" is the mean of the
losses of its utterances.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import frame_count
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import InputError, ModelError
from sewcli.evaluation.normalizers import Normalizer, unchanged
from sewcli.temporary import no_room

#: log-posteriors kept in memory before they move to a temporary file
_MEMORY_BYTES = 4 << 20
_FRAMES_READ = 4096


@dataclass(frozen=True)
class CtcLoss:
    """How a model's configuration defines its loss; the defaults are those of SEWConfig and SEWDConfig.

    Attributes:
        vocabulary: that spells references.
        blank: id of the blank (pad_token_id).
        reduction: ctc_loss_reduction.
        zero_infinity: ctc_zero_infinity.
        head_bias: logits of an odd last frame, shape (V,).
        normalize: applied to a reference before it is spelled.
    """

    vocabulary: Vocabulary
    head_bias: NDArray[np.float32]
    blank: int = 0
    reduction: str = "mean"
    zero_infinity: bool = False
    normalize: Normalizer = unchanged

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        vocabulary: Vocabulary,
        head_bias: NDArray[np.float32],
        normalize: Normalizer = unchanged,
    ) -> CtcLoss:
        """The loss of a model with the contents of its config.json.

        Raises:
            ModelError: the blank that it names is no token.
        """
        blank = config.get("pad_token_id", cls.blank)
        if blank is not None and blank not in range(len(vocabulary.tokens)):
            raise ModelError(
                f"pad_token_id {blank!r} of the model's config.json, the blank of the loss, is no token",
                hint=f"its tokens have the numbers 0 to {len(vocabulary.tokens) - 1}",
                code="damaged_model",
            )
        return cls(
            vocabulary,
            head_bias,
            vocabulary.blank if blank is None else blank,
            config.get("ctc_loss_reduction", cls.reduction),
            config.get("ctc_zero_infinity", cls.zero_infinity),
            normalize,
        )

    def recording(self) -> LossOfRecording:
        """The loss of one recording, whose frames are yet to come."""
        return LossOfRecording(self)

    def reduced(self, nll: float, tokens: int) -> float:
        """The loss of one utterance of so many tokens."""
        if math.isinf(nll):
            return 0.0 if self.zero_infinity else math.inf
        return nll / max(1, tokens) if self.reduction == "mean" else nll


@dataclass(frozen=True)
class Loss:
    """The loss of one utterance.

    Attributes:
        value: as transformers gives it; None where there is none: the text cannot be spelled.
        problem: "unspellable" or "misfit" (the text has more tokens than the frames can hold), or "".
        message: what the problem is, or "".
    """

    value: float | None
    problem: str = ""
    message: str = ""


class LossOfRecording:
    """Collects the frames of one recording; what is held in memory does not grow with its length."""

    def __init__(self, loss: CtcLoss) -> None:
        self._loss = loss
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, prefix="sew-loss-")  # noqa: SIM115
        self._frames = 0

    def push(self, logits: NDArray[np.float32]) -> None:
        """Take in the logits of the next frames, shape (T, V) (InputError where there is no room)."""
        try:
            self._file.write(_log_softmax(logits).tobytes())
            self._file.flush()  # where it fails, it is told here and not by a later seek
        except OSError as error:
            hint = "set TMPDIR to a directory with 25 MB for each hour of audio"
            raise no_room(InputError, "the posteriors", error, hint) from error
        self._frames += logits.shape[0]

    def finish(self, text: str, samples: int) -> Loss:
        """The loss of `text` for the recording of `samples` samples, all of whose frames have come."""
        try:
            tokens = self._loss.vocabulary.encode(self._loss.normalize(text))
        except ValueError as error:
            return Loss(None, "unspellable", str(error))
        if not tokens:
            return Loss(None, "unspellable", "its text is empty")
        if frame_count(samples) > self._frames:
            self.push(self._loss.head_bias[None])
        nll = negative_log_likelihood(self._blocks(), self._frames, tokens, self._loss.blank)
        value = self._loss.reduced(nll, len(tokens))
        if math.isinf(nll):
            return Loss(value, "misfit", f"{len(tokens)} characters do not fit {self._frames} frames")
        return Loss(value)

    def close(self) -> None:
        """Give memory and temporary file back."""
        with suppress(OSError):  # no room for what nobody wants any more
            self._file.close()

    def _blocks(self) -> Iterator[NDArray[np.float32]]:
        columns = self._loss.head_bias.size
        self._file.seek(0)
        while block := self._file.read(_FRAMES_READ * columns * 4):
            yield np.frombuffer(block, dtype=np.float32).reshape(-1, columns)


@np.errstate(invalid="ignore")  # where a network gives no numbers, the loss is none
def negative_log_likelihood(
    log_posteriors: Iterable[NDArray[np.float32]], frames: int, tokens: Sequence[int], blank: int
) -> float:
    """The negative logarithm of the probability of a text, over all its CTC paths.

    Args:
        log_posteriors: blocks of frames, shape (T, V), in order.
        frames: in all blocks together.
        tokens: ids of the text, blanks not among them.
        blank: id of the CTC blank.

    Returns:
        Infinity where the tokens do not fit the frames.
    """
    path = np.full(2 * len(tokens) + 1, blank)
    path[1::2] = tokens
    # a token may be entered past the blank before it, unless it equals the token before that
    skip = np.full(path.size, -np.inf)
    skip[3::2] = np.where(path[3::2] != path[1:-2:2], 0.0, -np.inf)
    # two states in front that are never reached spare the borders a case of their own
    alpha = np.full(path.size + 2, -np.inf)
    frame = 0
    for block in log_posteriors:
        for posteriors in block.astype(np.float64):
            # states that the first frame can have reached and the last one can be reached from
            low = max(0, path.size - 2 * (frames - frame))
            high = min(path.size, 2 * (frame + 1))
            emissions = posteriors[path[low:high]]
            if frame == 0:
                alpha[2 + low : 2 + high] = emissions
            else:
                stay, step = alpha[2 + low : 2 + high], alpha[1 + low : 1 + high]
                alpha[2 + low : 2 + high] = (
                    _logsumexp(stay, step, alpha[low:high] + skip[low:high]) + emissions
                )
            frame += 1
    return -float(np.logaddexp(alpha[-1], alpha[-2]))


def _logsumexp(*terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """log of the sum of exp of arrays of one shape; np.logaddexp is slower."""
    top = np.maximum(np.maximum(terms[0], terms[1]), terms[2])
    finite = np.where(np.isneginf(top), 0.0, top)
    with np.errstate(divide="ignore"):
        summed: NDArray[np.float64] = finite + np.log(sum(np.exp(term - finite) for term in terms))
    return summed


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    normalised: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised

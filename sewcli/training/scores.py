"""How a model that is trained to transcribe does on dev."""

from __future__ import annotations

import math
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.forward import Model, ctc_logits
from sewcli.acoustic.statistics import wave_statistics
from sewcli.chunking import PAIR
from sewcli.decoding.greedy import GreedyDecoder
from sewcli.evaluation import Scored, error_rates, require_jiwer
from sewcli.evaluation.loss import CtcLoss
from sewcli.training.batches import batches_in_order
from sewcli.training.cache import AudioCache
from sewcli.training.observers import mean_loss
from sewcli.training.vocabulary import Speller


class TranscriptScores:
    """Scores of a model on the clips of a dev set.

    Args:
        dev: the set.
        clips: those of it that count.
        speller: vocabulary and spelling of the transcripts.

    Raises:
        UsageError: jiwer is not installed.
    """

    def __init__(self, dev: AudioCache, clips: NDArray[np.int64], speller: Speller) -> None:
        require_jiwer()  # now, not at the first evaluation
        self._dev, self._clips, self._speller = dev, clips, speller

    @torch.no_grad()
    def of(self, model: Model, batch_samples: int) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Error rates and CTC loss on dev, in all and by set, and the (reference, hypothesis) pairs.

        The texts are normalised as those of training are; the loss is that of `sew evaluate`: the mean over
        utterances of what SEWForCTC gives for each, with the settings of its configuration.
        """
        bias = model.lm_head.bias.float().cpu().numpy()
        criterion = CtcLoss.of(model.config.to_dict(), self._speller.vocabulary, bias)
        pairs: dict[int, tuple[str, str]] = {}
        losses: dict[int, float] = {}
        for chosen in batches_in_order(self._dev.lengths[self._clips], batch_samples):
            clips = self._clips[chosen]
            rows = [self._dev.clip(int(i)) for i in clips]
            batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
            outputs = ctc_logits(model, batch.to(model.device)).float().cpu().numpy()
            for clip, row, frames in zip(clips.tolist(), outputs, batch.frame_counts, strict=True):
                logits = row[: frames // PAIR * PAIR]
                decoder = GreedyDecoder(self._speller.vocabulary)
                decoder.push(logits)
                reference = self._speller.normalize(self._dev.rows[clip].text or "")
                pairs[clip] = (reference, decoder.finish().text)
                with closing(criterion.recording()) as recording:
                    recording.push(logits)
                    value = recording.finish(reference, int(self._dev.lengths[clip])).value
                if value is not None and math.isfinite(value):
                    losses[clip] = value
        rates = error_rates(Scored(*pair, set=self._dev.rows[clip].set) for clip, pair in pairs.items())
        metrics: dict[str, Any] = {}
        for name, of_set in {"": rates, **rates["sets"]}.items():
            suffix = f"_{name}" if name else ""
            # there is no rate where all transcripts are empty once they are normalised
            metrics |= {
                f"{rate}{suffix}": math.nan if of_set[rate] is None else of_set[rate]
                for rate in ("wer", "cer")
            }
            inside = [loss for clip, loss in losses.items() if name in ("", self._dev.rows[clip].set)]
            metrics[f"loss{suffix}"] = mean_loss(inside)
        return metrics, [pair for _, pair in sorted(pairs.items())]

"""A second CTC loss in training: the phones of a text, read from a layer in the middle.

English letters are a poor name for sounds: the same letter stands for several and several for the same.
A network with little speech to learn from finds the sounds sooner where the lower layers are asked for them
by name, and the upper ones spell (hierarchical multi-task CTC: Fernandez et al., 2007; Sanabria and Metze,
arXiv 1807.07104). The head that reads the phones is of use in training alone and no part of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.forward import Model, transformer_layers
from sewcli.chunking import PAIR
from sewcli.errors import UsageError
from sewcli.evaluation.rates import folded

_BLANK = 0
#: name of the head among the modules of the model that is trained
_HEAD = "phone_head"
_FORM = "a line is a word and its phones: CAT k a t"


class Lexicon:
    """Pronunciations by word, as in the dictionaries of Kaldi: a word and its phones a line.

    Args:
        pronunciations: phones of each word, in upper case.
    """

    def __init__(self, pronunciations: dict[str, list[str]]) -> None:
        #: all of them, in the order of their ids
        self.phones = sorted({phone for word in pronunciations.values() for phone in word})
        ids = {phone: number for number, phone in enumerate(self.phones, start=_BLANK + 1)}
        #: of the phones, with the blank
        self.columns = len(self.phones) + 1
        self._ids = {word: [ids[phone] for phone in said] for word, said in pronunciations.items()}

    @classmethod
    def read(cls, file: Path) -> Lexicon:
        """Read a dictionary; of a word that comes twice, the first pronunciation counts.

        Raises:
            UsageError: it cannot be read, or has a word without phones.
        """
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the lexicon {file}: {error}") from error
        found: dict[str, list[str]] = {}
        for number, line in enumerate(lines, start=1):
            word, *phones = line.split() or [""]
            if word and not phones:
                raise UsageError(f"{file}:{number}: {word} has no phones", hint=_FORM)
            if word:
                found.setdefault(folded(word), phones)
        if not found:
            raise UsageError(f"the lexicon {file} is empty", hint=_FORM)
        return cls(found)

    def encode(self, text: str) -> list[int]:
        """Ids of the phones of a text, from 1; none where it has a word that is not in the lexicon."""
        words = folded(text).split()
        if any(word not in self._ids for word in words):
            return []
        return [phone for word in words for phone in self._ids[word]]


class PhoneLoss:
    """The loss, its head and where the head listens.

    Args:
        columns: of the head: phones and blank.
        layer: whose output it reads, from 1.
        weight: of this loss beside that of the transcript.
    """

    def __init__(self, columns: int, layer: int, weight: float) -> None:
        self._columns, self._layer, self.weight = columns, layer, weight
        self._heard: torch.Tensor | None = None

    def attach(self, model: Model) -> None:
        """Give the model the head, which is trained, averaged and kept in checkpoints with it.

        Raises:
            UsageError: the model has no such layer.
        """
        layers = len(transformer_layers(model))
        if self._layer > layers:
            raise UsageError(f"phone_layer is {self._layer}; the model has {layers} layers")
        # a state stands for two frames, as where the model itself samples up
        head = nn.Linear(model.config.hidden_size, model.config.squeeze_factor * self._columns)
        nn.init.xavier_uniform_(head.weight)
        nn.init.zeros_(head.bias)
        setattr(model, _HEAD, head)

    @staticmethod
    def remove(model: Model) -> None:
        """Leave the model as it is used."""
        if hasattr(model, _HEAD):
            delattr(model, _HEAD)

    def listen(self, model: Model) -> torch.utils.hooks.RemovableHandle:
        """Keep what the layer gives in the forward pass that follows; the handle ends it."""
        self._heard = None

        def keep(_module: nn.Module, _inputs: object, output: Any) -> None:
            self._heard = output[0] if isinstance(output, tuple) else output

        return transformer_layers(model)[self._layer - 1].register_forward_hook(keep)

    def loss(self, model: Model, batch: Batch, targets: Sequence[Sequence[int]]) -> torch.Tensor:
        """CTC loss a phone, mean over the clips that have phones, whatever `ctc_loss_reduction` says.

        Zero where layerdrop left the layer out, or no clip has phones.
        """
        states, self._heard = self._heard, None
        head = getattr(model, _HEAD)
        chosen = [row for row, ids in enumerate(targets) if ids]
        if states is None or not chosen:
            # a gradient of zeros all the same, which the processes of a distributed run can sum
            return torch.stack([weight.sum() for weight in head.parameters()]).sum() * 0.0
        logits = head(states[chosen]).float()
        logits = logits.view(len(chosen), -1, self._columns)
        return nn.functional.ctc_loss(
            logits.log_softmax(-1).transpose(0, 1),
            torch.tensor([phone for row in chosen for phone in targets[row]], device=logits.device),
            # on the host, where the loss reads them
            torch.tensor(batch.frame_counts)[chosen] // PAIR * PAIR,
            torch.tensor([len(targets[row]) for row in chosen]),
            blank=_BLANK,
            zero_infinity=True,
        )

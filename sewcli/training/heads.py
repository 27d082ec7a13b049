"""The head of a model that starts from another one: what it takes over, by the names of the outputs.

A head has a row of weights for each character or label. The model it starts from may have them in another
order, or others; shapes alone do not tell.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from sewcli.acoustic.checkpoint import label_names
from sewcli.acoustic.engine.weights import read_tensors
from sewcli.acoustic.files import read_config
from sewcli.acoustic.forward import Model
from sewcli.decoding.vocabulary import Vocabulary, load_vocabulary
from sewcli.errors import ModelError
from sewcli.training.vocabulary import BLANK, DELIMITER

log = logging.getLogger("sewcli")

_NAMES = {"ctc": "lm_head", "classification": "classifier"}


def roles(vocabulary: Vocabulary) -> tuple[str, ...]:
    """The tokens of a vocabulary, those that are no text by what they do, however they are spelled."""
    named = dict(enumerate(vocabulary.tokens))
    named |= {column: f"<{named[column].strip('<>[]').lower()}>" for column in vocabulary.special}
    if vocabulary.delimiter is not None:
        named[vocabulary.delimiter] = DELIMITER
    named[vocabulary.blank] = BLANK
    return tuple(named.values())


def outputs_of(start: Path, task: str) -> tuple[str, ...] | None:
    """What the columns of the head of a model directory stand for; None where it has no head for the task.

    For "ctc" these are `roles`.
    """
    weight = read_tensors(start, {f"{_NAMES[task]}.weight"}).get(f"{_NAMES[task]}.weight")
    if weight is None:
        return None
    config = read_config(start)
    if task == "classification":
        return label_names(config)
    try:
        return roles(load_vocabulary(start, len(weight)))
    except ModelError:  # no vocab.json, or one for another head
        return None


@torch.no_grad()
def take_head(model: Model, start: Path, task: str, outputs: Sequence[str]) -> bool:
    """Give the head of a model the rows that the model in `start` has for its outputs, the others new ones.

    A letter may come from the one of the other case. How many are taken over is told where it is not all.

    Args:
        model: in place.
        start: the model directory that it starts from.
        task: "ctc" or "classification".
        outputs: what the columns of the head stand for; for "ctc" `roles`.

    Returns:
        Whether the head is new: nothing is taken over, or not its blank.
    """
    name = _NAMES[task]
    head: nn.Linear = getattr(model, name)
    weights = read_tensors(start, {f"{name}.weight", f"{name}.bias"})
    before = outputs_of(start, task)
    if before is not None and weights[f"{name}.weight"].shape[1] != head.in_features:
        before = None
    if before == tuple(outputs):
        return False
    nn.init.normal_(head.weight, std=model.config.initializer_range)
    nn.init.zeros_(head.bias)
    taken = set()
    rows = {output: row for row, output in enumerate(before or ())}
    for column, output in enumerate(outputs):
        row = next((rows[form] for form in (output, output.upper(), output.lower()) if form in rows), None)
        if row is not None:
            head.weight[column] = weights[f"{name}.weight"][row].float()
            head.bias[column] = weights[f"{name}.bias"][row].float()
            taken.add(output)
    what = "characters" if task == "ctc" else "labels"
    message = "%d of %d %s are those of %s; the head is new for the others"
    log.info(message, len(taken), len(outputs), what, start)
    return not taken or (task == "ctc" and BLANK not in taken)

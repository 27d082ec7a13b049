"""The fast engine on a card that is not there: nothing of the host among its tensors, nothing waited for."""

import dataclasses

import pytest
import torch
from networks import random_model, saved, utterance
from pretend_card import CARD, PretendCard

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.checkpoint import inspect
from sewcli.acoustic.engine import disentangled
from sewcli.acoustic.engine.config import engine_config
from sewcli.acoustic.engine.fast import FastModel
from sewcli.acoustic.statistics import wave_statistics
from sewcli.acoustic.transfers import Transfers
from sewcli.chunking import PAIR

HEADS = {"ctc": "ForCTC", "classification": "ForSequenceClassification", "features": "Model"}
#: the shortest and one row; neighbours of other lengths; more states than are taken by distance
SECONDS = {"one": (1.0,), "padded": (1.0, 0.05, 2.1), "long": (26.0, 25.0)}


@pytest.fixture(autouse=True)
def no_streams(monkeypatch):
    """Copies are made at once: streams and events are the card's own."""
    monkeypatch.setattr(Transfers, "of", classmethod(lambda cls, device: cls(device)))


@pytest.fixture
def pretend(monkeypatch, tmp_path):
    """Load a model on the card that is not there, and run a batch of so many seconds on it."""

    def pretend(model, task, dtype, seconds, layer=None):
        saved(model, tmp_path)
        checkpoint = inspect(tmp_path, task)
        rows = [utterance(int(length * 16_000)) for length in seconds]
        batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
        with PretendCard(monkeypatch) as card:
            network = FastModel(checkpoint, engine_config(checkpoint), CARD, dtype).giving(layer)
            numberless = {
                name: card.on_host(value)
                for name, value in vars(batch).items()
                if isinstance(value, torch.Tensor)
            }
            return network.forward(dataclasses.replace(batch, **numberless).to(CARD)), max(batch.frame_counts)

    return pretend


@pytest.mark.parametrize(
    ("task", "dtype", "rows"),
    [
        ("ctc", torch.float32, "padded"),
        ("ctc", torch.bfloat16, "padded"),
        ("ctc", torch.float16, "padded"),
        ("ctc", torch.bfloat16, "one"),
        ("ctc", torch.float16, "long"),
        ("classification", torch.float32, "padded"),
        ("classification", torch.bfloat16, "padded"),
        ("features", torch.float32, "padded"),
        ("features", torch.bfloat16, "padded"),
    ],
)
@pytest.mark.parametrize("family", ["SEW", "SEWD"])
def test_all_of_a_batch_is_on_the_card(pretend, family, task, dtype, rows):
    model = random_model(family, HEADS[task])
    output, frames = pretend(model, task, dtype, SECONDS[rows])
    assert output.device == CARD
    assert output.dtype == (dtype if task == "features" else torch.float32)
    width = {"ctc": 32, "classification": 5, "features": 64}[task]
    assert output.shape[0] == len(SECONDS[rows])
    assert output.shape[-1] == width
    if task != "classification":
        assert frames // PAIR * PAIR <= output.shape[1] <= frames + 1


def test_a_layer_of_the_hidden_states(pretend):
    output, _ = pretend(random_model("SEWD", "Model"), "features", torch.float16, (1.0, 2.0), layer=1)
    assert (output.device, output.dtype) == (CARD, torch.float16)


def test_queries_in_blocks(pretend, monkeypatch):
    monkeypatch.setattr(disentangled, "_MOST_SCORES", 1)
    monkeypatch.setattr(disentangled, "_LEAST_QUERIES", 100)
    output, _ = pretend(random_model("SEWD", "ForCTC"), "ctc", torch.bfloat16, (26.0, 10.0))
    assert output.device == CARD


def test_a_tensor_of_the_host_is_found(monkeypatch):
    with PretendCard(monkeypatch) as card:
        there = torch.ones(3, device=CARD)
        with pytest.raises(RuntimeError, match="same device"):
            there + card.on_host(torch.ones(3))


def test_a_number_that_is_waited_for_is_found(monkeypatch):
    """As a shape; a torch without CUDA refuses before it comes to that."""
    with PretendCard(monkeypatch), pytest.raises(RuntimeError, match=r"nonzero|not linked"):
        torch.ones(3, device=CARD).nonzero()

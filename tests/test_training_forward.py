"""Training in 16 bits: reordered convolutions give what the modules give, and their gradients."""

import copy

import numpy as np
import pytest
import torch
from networks import random_model

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.forward import base_model, convolutions
from sewcli.acoustic.statistics import wave_statistics


def convolved(model, batch):
    """What the convolutions give and the gradients of their weights, under the same sum."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = convolutions(model, batch).float()
    (hidden * torch.linspace(-1, 1, hidden[0].numel()).reshape(hidden.shape[1:])).sum().backward()
    layers = base_model(model).feature_extractor.conv_layers
    return hidden.detach(), [parameter.grad for parameter in layers.parameters()]


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
@pytest.mark.parametrize("settings", [{}, {"conv_bias": True}, {"feat_extract_norm": "layer"}])
@pytest.mark.parametrize("lengths", [[400], [16_080, 9_001], [7_345, 1_234, 5_000]])
def test_convolutions_in_training_have_outputs_and_gradients_of_the_modules(family, settings, lengths):
    model = random_model(family, "ForCTC", **settings)
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal(length).astype(np.float32) for length in lengths]
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    hidden, gradients = convolved(copy.deepcopy(model).eval(), batch)
    in_training, learned = convolved(copy.deepcopy(model).train(), batch)
    torch.testing.assert_close(in_training, hidden, rtol=2e-2, atol=2e-2)
    assert (in_training.stride() == hidden.stride()) == (model.config.feat_extract_norm == "layer")
    assert len(learned) == len(gradients) > 12
    # a bias before the norm moves nothing: its gradient is zero but for rounding
    largest = max(float(gradient.abs().max()) for gradient in gradients)
    for got, wanted in zip(learned, gradients, strict=True):
        torch.testing.assert_close(got, wanted, rtol=2e-2, atol=1e-2 * largest)

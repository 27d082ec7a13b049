"""Two readings of a clip compared in training."""

import numpy as np
import pytest
import torch
from trainings import EXAMPLES, make_task

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.forward import ctc_logits
from sewcli.acoustic.statistics import wave_statistics
from sewcli.errors import UsageError
from sewcli.training.feed import Feed
from sewcli.training.posteriors import disagreement, divergence, read_twice
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model

pytestmark = pytest.mark.usefixtures("undrawn")


def random_batch(*lengths):
    rng = np.random.default_rng(3)
    rows = [rng.standard_normal(length).astype(np.float32) for length in lengths]
    return make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)


def test_the_divergence_is_that_of_torch_over_the_frames_that_count():
    torch.manual_seed(0)
    wanted, found = torch.randn(2, 3, 6, 5).log_softmax(-1)
    frames = torch.tensor([6, 3, 4])  # the odd third frame of a row never counts
    expected = sum(
        torch.nn.functional.kl_div(found[row, :n], wanted[row, :n], reduction="sum", log_target=True)
        for row, n in enumerate([6, 2, 4])
    )
    torch.testing.assert_close(divergence(wanted, found, frames, 7), expected / 7)


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
def test_two_readings_without_chance_agree(family):
    from networks import random_model

    model = random_model(family, "ForCTC").eval()
    batch = random_batch(16000, 7001)
    twice = read_twice(batch)
    with torch.no_grad():
        once, logits = ctc_logits(model, batch), ctc_logits(model, twice)
    torch.testing.assert_close(logits, torch.cat([once, once]), rtol=1e-4, atol=1e-5)
    assert twice.frame_counts == batch.frame_counts * 2
    assert float(disagreement(logits, twice, 1)) == pytest.approx(0.0, abs=1e-5)


def test_disagreement_goes_both_ways_and_no_gradient_through_the_target():
    torch.manual_seed(1)
    one, other = torch.randn(2, 1, 4, 5, requires_grad=True)
    batch = read_twice(random_batch(1600))
    assert batch.frame_counts == (4, 4)

    def kl(wanted, found):
        return divergence(wanted.log_softmax(-1), found.log_softmax(-1), torch.tensor([4]), 3)

    loss = disagreement(torch.cat([one, other]), batch, 3)
    torch.testing.assert_close(loss, kl(one, other) + kl(other, one))
    (found,) = torch.autograd.grad(loss, one, retain_graph=True)
    (expected,) = torch.autograd.grad(kl(other.detach(), one), one)
    torch.testing.assert_close(found, expected)


def test_the_loss_comes_on_top_of_that_of_the_text(recipe_file, tmp_path):
    task, model, recipe = make_task(recipe_file, tmp_path, "consistency=0.4")
    plain, _, _ = make_task(recipe_file, tmp_path)
    _, batch, targets = next(iter(Feed(recipe, task)))
    model.eval()
    with torch.no_grad():
        without_chance = task.loss(model, batch, targets)
        torch.testing.assert_close(without_chance, plain.loss(model, batch, targets))
        model.train()
        model.config.mask_time_prob, model.config.mask_time_min_masks = 0.3, 1
        torch.manual_seed(0)
        np.random.seed(0)
        found = task.loss(model, batch, targets)
        torch.manual_seed(0)
        np.random.seed(0)
        twice = read_twice(batch)
        logits = ctc_logits(model, twice)
        torch.manual_seed(0)
        np.random.seed(0)
        transcripts = plain.loss(model, twice, targets * 2)
    tokens = 2 * sum(len(target.tokens) for target in targets)
    apart = disagreement(logits, twice, tokens)
    assert apart > 0.001
    torch.testing.assert_close(found, transcripts + 0.4 * apart)


def test_settings_without_effect_are_refused(recipe_file, tmp_path):
    for settings, message in [
        (["task=classification"], "consistency is for task ctc"),
        (["config.mask_time_prob=0.0"], "nothing makes them differ"),
        (["config.apply_spec_augment=false"], "nothing makes them differ"),
    ]:
        still = [f"config.{name}=0.0" for name in ("hidden_dropout", "attention_dropout", "final_dropout")]
        still += ["config.activation_dropout=0.0", "config.feat_proj_dropout=0.0"]
        recipe = load_recipe(recipe_file, EXAMPLES, ["consistency=0.2", *still, *settings])
        with pytest.raises(UsageError, match=message):
            train_model(recipe, tmp_path / "run", device="cpu")

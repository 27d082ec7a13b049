"""The expected word errors as a loss in training."""

import numpy as np
import pytest
import torch
from rapidfuzz.distance import Levenshtein
from safetensors.torch import load_file
from trainings import EXAMPLES, At, interrupt, make_task
from transformers import SEWForCTC

from sewcli.acoustic.forward import ctc_logits
from sewcli.decoding.greedy import GreedyDecoder
from sewcli.errors import UsageError
from sewcli.hub.fetching import fetch
from sewcli.registry import resolve
from sewcli.training.checkpoint import load_checkpoint
from sewcli.training.features import feature_batch
from sewcli.training.feed import Feed
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model
from sewcli.training.vocabulary import build_vocabulary, english_vocabulary
from sewcli.training.word_errors import WordErrorLoss

pytestmark = pytest.mark.usefixtures("undrawn")

VOCABULARY = english_vocabulary()
COLUMNS = len(VOCABULARY.tokens)


def batch_of(*frames):
    return feature_batch([np.zeros((count, 2), dtype=np.float16) for count in frames])


def read(logits):
    decoder = GreedyDecoder(VOCABULARY)
    decoder.push(np.asarray(logits, dtype=np.float32))
    return decoder.finish().text


def logits_of(path, others=()):
    """Logits of a path with some posteriors besides: (frame, token, posterior)."""
    posteriors = np.full((len(path), COLUMNS), 1e-6)
    for frame, token in enumerate(path):
        posteriors[frame, VOCABULARY.tokens.index(token)] = 1.0
    for frame, token, posterior in others:
        posteriors[frame, VOCABULARY.tokens.index(token)] = posterior
        posteriors[frame, VOCABULARY.tokens.index(path[frame])] -= posterior
    return torch.tensor(posteriors, dtype=torch.float32).log()


@pytest.mark.parametrize("frames", [1, 2, 3, 40])
def test_the_changes_are_those_of_decoding_every_other_path(frames):
    rng, count = np.random.default_rng(frames), 0
    for _ in range(3 if frames > 3 else 30):
        logits = rng.normal(size=(frames, COLUMNS)).astype(np.float32) * 3
        logits[:, VOCABULARY.tokens.index("|")] += 3  # words, and letters in two frames running
        logits[1::2] += 0.7 * logits[: frames // 2 * 2 : 2] if frames > 1 else 0
        reference = read(logits + rng.normal(size=logits.shape)).split()
        posteriors = torch.tensor(logits).softmax(-1).numpy()
        found = {place[:2]: place[2] for place in WordErrorLoss(VOCABULARY).changes(posteriors, reference)}
        before = Levenshtein.distance(reference, read(logits).split())
        best = VOCABULARY.log_posteriors(logits).argmax(axis=1)
        expected = {}
        for frame in range(frames):
            for token in VOCABULARY.columns:
                if token == best[frame] or posteriors[frame, token] <= 0.01:
                    continue
                other = logits.copy()
                other[frame, token] = 99.0
                change = Levenshtein.distance(reference, read(other).split()) - before
                if change:
                    expected[frame, token] = change
        assert found == expected
        count += len(found)
    assert count > 10


def test_the_loss_is_the_expected_change_for_each_word():
    path = ["C", "U", "T", "|", "<pad>", "D", "O", "G"]
    # A mends the first word; without its D, or with a U, the second is wrong; without the space there is one
    others = [(1, "A", 0.3), (5, "<pad>", 0.1), (6, "U", 0.2), (3, "<pad>", 0.4)]
    logits = logits_of(path, others).requires_grad_()
    ids = VOCABULARY.encode("CAT DOG")
    # the second row has three frames, of which two count: C and A, for a word that it lacks
    rows = torch.stack([logits, logits_of(["C", "A"] + ["T"] * 6)])
    found = WordErrorLoss(VOCABULARY).loss(rows, batch_of(8, 3), [ids, VOCABULARY.encode("CAT")])
    expected = -1 * 0.3 + 1 * 0.1 + 1 * 0.2 + 1 * 0.4
    torch.testing.assert_close(found, torch.tensor(expected / 3), rtol=1e-4, atol=1e-6)
    (gradient,) = torch.autograd.grad(found, logits)
    assert gradient[1, VOCABULARY.tokens.index("A")] < 0 < gradient[1, VOCABULARY.tokens.index("U")]
    assert gradient[[0, 2, 4, 7]].abs().max() < 1e-3


def test_where_no_word_can_change_there_is_a_gradient_of_zeros():
    at_the_end = (2, "|", 0.2)
    for path, others, text in (
        ("A <pad> B <pad>", [], "AB"),
        ("A B <pad> <pad>", [at_the_end], "AB"),
        ("A B <pad> <pad>", [at_the_end, (1, "C", 0.3)], "X"),
        ("A B", [], ""),
    ):
        logits = logits_of(path.split(), others).requires_grad_()
        frames = len(path.split())
        loss = WordErrorLoss(VOCABULARY).loss(logits[None], batch_of(frames), [VOCABULARY.encode(text)])
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.detach() == 0.0
        assert not gradient.any()


def test_autocast_leaves_it_in_float32():
    rng = np.random.default_rng(5)
    logits = torch.tensor(rng.normal(size=(2, 40, COLUMNS)) * 3, dtype=torch.float32)
    targets = [VOCABULARY.encode("AN EEL ATE"), VOCABULARY.encode("A TEA")]
    expected = WordErrorLoss(VOCABULARY).loss(logits, batch_of(40, 40), targets)
    with torch.autocast("cpu", torch.bfloat16):
        found = WordErrorLoss(VOCABULARY).loss(logits, batch_of(40, 40), targets)
    assert expected != 0
    torch.testing.assert_close(found, expected)


def test_following_it_mends_the_words_of_the_best_path():
    said = ["C", "C", "U", "T", "|", "|", "D", "O", "O", "G", "G", "Y"]
    logits = logits_of(said, [(2, "A", 0.2), (11, "|", 0.1)]).requires_grad_()
    assert read(logits.detach()) == "CUT DOGY"
    ids = VOCABULARY.encode("CAT DOG")
    for _ in range(60):
        loss = WordErrorLoss(VOCABULARY).loss(logits[None], batch_of(len(said)), [ids])
        (gradient,) = torch.autograd.grad(loss, logits)
        logits = (logits - 2.0 * gradient).detach().requires_grad_()
    assert read(logits.detach()) == "CAT DOG"


def test_a_vocabulary_without_a_delimiter_has_one_word():
    vocabulary = build_vocabulary(["AB"])
    without = type(vocabulary)(vocabulary.tokens, vocabulary.blank, None, vocabulary.special)
    posteriors = np.full((2, len(vocabulary.tokens)), 0.02, dtype=np.float32)
    posteriors[:, vocabulary.tokens.index("A")] = 0.9
    posteriors[1, vocabulary.tokens.index("B")] = 0.4
    found = list(WordErrorLoss(without).changes(posteriors, ["AB"]))
    assert (1, vocabulary.tokens.index("B"), -1) in found


def test_it_comes_on_top_of_the_loss_of_the_text_after_its_share_of_the_updates(recipe_file, tmp_path):
    settings = ["word_error_weight=0.7", "word_error_from=0.5", "steps=10"]
    task, _, recipe = make_task(recipe_file, tmp_path, *settings)
    plain, _, _ = make_task(recipe_file, tmp_path)
    _, batch, targets = next(iter(Feed(recipe, task)))
    model = SEWForCTC.from_pretrained(fetch(resolve("nano")).directory, dtype=torch.float32).eval()
    with torch.no_grad():
        text = plain.loss(model, batch, targets)
        task.begin(4)
        torch.testing.assert_close(task.loss(model, batch, targets), text)
        task.begin(5)
        found = task.loss(model, batch, targets)
        ids = [target.tokens for target in targets]
        errors = WordErrorLoss(VOCABULARY).loss(ctc_logits(model, batch), batch, ids)
    assert abs(float(errors)) > 1e-3
    torch.testing.assert_close(found, text + 0.7 * errors)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["word_error_from=0.5"], "word_error_from is set and word_error_weight is not"),
        (["word_error_weight=1", "task=classification"], "word_error_weight is for task ctc"),
        (["word_error_weight=-1"], "it must be a number from 0 up"),
        (["word_error_weight=1", "word_error_from=1"], "would not count in any update"),
    ],
)
def test_settings_without_effect_are_refused(recipe_file, tmp_path, settings, message):
    with pytest.raises(UsageError, match=message):
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")


@pytest.mark.slow
def test_a_stopped_training_goes_on_with_it_to_the_same_weights(recipe_file, tmp_path, caplog):
    """From nano, of which something is said, and with every loss beside it."""
    settings = [
        *("init=nano", "config={}", "precision=float32", "batch_seconds=8", "steps=2", "eval_every=2"),
        *("accumulate=2", "word_error_weight=1", "word_error_from=0.3", "consistency=0.2"),
        *("config.mask_time_prob=0.1", "peak_rate=1e-3", "warmup=0", "average=0.0", "choose=last"),
        "save_every=1",
    ]
    recipe = load_recipe(recipe_file, EXAMPLES, settings)
    train_model(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_model(recipe, tmp_path / "parts", observers=[At(2, interrupt)])
    assert load_checkpoint(tmp_path / "parts")["batches"] == 2
    with caplog.at_level("INFO", "sewcli"):
        train_model(recipe, tmp_path / "parts")
    assert "resumed at step 1 of 2" in caplog.messages
    without = load_recipe(recipe_file, EXAMPLES, [*settings, "word_error_weight=0", "word_error_from=0.0"])
    train_model(without, tmp_path / "without")
    whole, parts, other = (
        load_file(tmp_path / run / "model/model.safetensors") for run in ("whole", "parts", "without")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert any(not torch.equal(whole[name], other[name]) for name in whole)

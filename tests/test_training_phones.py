"""Phones learned beside the text."""

import pytest
import torch
from safetensors.torch import load_file
from trainings import EXAMPLES, At, interrupt, make_task

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.forward import hidden_layers
from sewcli.acoustic.statistics import wave_statistics
from sewcli.errors import UsageError
from sewcli.inputs.manifest import load_manifest
from sewcli.training.checkpoint import has_checkpoint
from sewcli.training.feed import Feed
from sewcli.training.phones import Lexicon, PhoneLoss
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def lexicon_file(tmp_path):
    """The words of the examples, each letter a phone of its own."""
    texts = [row.text for row in load_manifest(EXAMPLES / "speech.jsonl").rows]
    words = sorted({word for text in texts for word in text.split()})
    file = tmp_path / "lexicon.txt"
    file.write_text("".join(f"{word} {' '.join(word.lower())}\n" for word in words))
    return file


def test_a_lexicon_spells_texts_in_phones(tmp_path):
    file = tmp_path / "lexicon.txt"
    file.write_text("CAT k a t\n\nThe D @\nTHE D i:\n")
    lexicon = Lexicon.read(file)
    assert lexicon.columns == 6  # @ D a k t and the blank
    the, cat = lexicon.encode("the"), lexicon.encode("Cat")
    assert lexicon.encode("THE CAT") == [*the, *cat]
    assert (len(the), len(set(cat))) == (2, 3)
    assert min(the + cat) == 1
    assert lexicon.encode("THE DOG") == []
    assert lexicon.encode("") == []
    file.write_text("\ufeffCAFE\u0301 k a f e\n", encoding="utf-8")
    assert len(Lexicon.read(file).encode("caf\u00e9")) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [("CAT k a t\nDOG\n", r"lexicon.txt:2: DOG has no phones"), ("\n", "is empty"), (None, "cannot read")],
)
def test_a_bad_lexicon_is_refused(tmp_path, content, message):
    file = tmp_path / "lexicon.txt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match=message):
        Lexicon.read(file)


@pytest.mark.parametrize("family", ["SEW", "SEWD"])
def test_the_loss_is_that_of_the_states_of_its_layer(family):
    from networks import random_model

    from sewcli.acoustic.forward import ctc_logits

    model = random_model(family, "ForCTC")
    loss = PhoneLoss(5, 2, 0.5)
    loss.attach(model)
    rows = [torch.randn(400 + 320 * n, generator=torch.manual_seed(n)).numpy() for n in (19, 40, 30)]
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    listening = loss.listen(model)
    ctc_logits(model, batch)
    listening.remove()
    found = loss.loss(model, batch, [[1, 2, 2], [], [4]])
    states = hidden_layers(model, batch)[2]
    expected = []
    for row, frames, ids in ((0, 20, [1, 2, 2]), (2, 30, [4])):
        logits = model.phone_head(states[row]).view(-1, 5)[:frames, None].log_softmax(-1)
        loss_of_row = torch.nn.functional.ctc_loss(
            logits, torch.tensor([ids]), torch.tensor([frames]), torch.tensor([len(ids)])
        )
        expected.append(loss_of_row)
    torch.testing.assert_close(found, torch.stack(expected).mean())
    # nothing was heard since, as where layerdrop leaves the layer out
    nothing = loss.loss(model, batch, [[1], [1], [1]])
    loss.listen(model)
    ctc_logits(model, batch)
    for zero in (nothing, loss.loss(model, batch, [[], [], []])):
        assert float(zero.detach()) == 0.0
        (gradient,) = torch.autograd.grad(zero, model.phone_head.bias)
        assert not gradient.any()
    PhoneLoss.remove(model)
    assert not [name for name in model.state_dict() if "phone" in name]


def test_the_loss_comes_on_top_of_that_of_the_text(recipe_file, lexicon_file, tmp_path):
    phones, model, recipe = make_task(recipe_file, tmp_path, f"lexicon={lexicon_file}", "phone_weight=0.7")
    plain, _, _ = make_task(recipe_file, tmp_path)
    _, batch, targets = next(iter(Feed(recipe, phones)))
    assert all(target.phones for target in targets)
    own = PhoneLoss(Lexicon.read(lexicon_file).columns, 1, 1.0)
    listening = own.listen(model)
    text = plain.loss(model, batch, targets)
    listening.remove()
    expected = text + 0.7 * own.loss(model, batch, [target.phones for target in targets])
    torch.testing.assert_close(phones.loss(model, batch, targets), expected)


def test_words_are_looked_up_as_the_text_is_spelled_and_missing_ones_are_told(
    recipe_file, lexicon_file, tmp_path, caplog
):
    lines = lexicon_file.read_text().lower().splitlines()
    lexicon_file.write_text("\n".join(lines[1:]))
    task, _, _ = make_task(recipe_file, tmp_path, f"lexicon={lexicon_file}")
    spelled = [bool(target.phones) for target in task._targets]
    assert 0 < sum(spelled) < len(spelled)
    missing = len(spelled) - sum(spelled)
    assert f"{missing} of {len(spelled)} training clips have a word that {lexicon_file} lacks" in caplog.text
    lexicon_file.write_text("XYLOPHONE z aI\n")
    with pytest.raises(UsageError, match="all words of none of the training clips"):
        make_task(recipe_file, tmp_path, f"lexicon={lexicon_file}")


def test_another_lexicon_is_another_run(recipe_file, lexicon_file, tmp_path):
    def train(*settings):
        train_model(load_recipe(recipe_file, EXAMPLES, list(settings)), tmp_path / "run")

    train("steps=3", f"lexicon={lexicon_file}")
    with pytest.raises(UsageError, match="lexicon differ"):
        train()
    before = lexicon_file.read_text()
    phone = Lexicon.read(lexicon_file).phones[0]
    renamed = [
        " ".join("new" if part == phone else part for part in line.split()) for line in before.splitlines()
    ]
    for changed in (before + "MORE new phones\n", "\n".join(renamed)):
        lexicon_file.write_text(changed)
        with pytest.raises(UsageError, match="other phones than its data give"):
            train(f"lexicon={lexicon_file}")


def test_a_classifier_has_no_phones(recipe_file, lexicon_file, tmp_path):
    recipe = load_recipe(recipe_file, EXAMPLES, [f"lexicon={lexicon_file}", "task=classification"])
    with pytest.raises(UsageError, match="lexicon is for task ctc"):
        train_model(recipe, tmp_path)


@pytest.mark.parametrize(
    ("setting", "owner"),
    [("phone_layer=2", "lexicon"), ("phone_weight=0.9", "lexicon"), ("teacher_steps=5", "teacher")],
)
def test_what_belongs_to_a_setting_that_is_not_there_is_refused(recipe_file, tmp_path, setting, owner):
    recipe = load_recipe(recipe_file, EXAMPLES, [setting])
    with pytest.raises(UsageError, match=f"{setting.partition('=')[0]} is set and {owner} is not"):
        train_model(recipe, tmp_path / "run")


def test_a_model_learns_them_and_keeps_no_head(recipe_file, lexicon_file, tmp_path):
    settings = ["steps=4", "average=0.0", "front_end_steps=0"]
    with_phones = [*settings, f"lexicon={lexicon_file}", "phone_layer=1", "phone_weight=3.0"]
    found = {}
    for name, given in {"plain": settings, "phones": with_phones}.items():
        train_model(load_recipe(recipe_file, EXAMPLES, given), tmp_path / name)
        found[name] = load_file(tmp_path / name / "model/model.safetensors")
    assert found["plain"].keys() == found["phones"].keys()
    assert any(not torch.equal(found["plain"][name], tensor) for name, tensor in found["phones"].items())


def test_a_resumed_training_goes_on_with_its_head(recipe_file, lexicon_file, tmp_path):
    recipe = load_recipe(recipe_file, EXAMPLES, [f"lexicon={lexicon_file}", "config.layerdrop=0.3"])
    train_model(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_model(recipe, tmp_path / "parts", observers=[At(5, interrupt)])
    assert has_checkpoint(tmp_path / "parts")
    train_model(recipe, tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / "model/model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())


def test_a_layer_that_is_not_there_is_refused(recipe_file, lexicon_file, tmp_path):
    recipe = load_recipe(recipe_file, EXAMPLES, [f"lexicon={lexicon_file}", "phone_layer=2"])
    with pytest.raises(UsageError, match="phone_layer is 2; the model has 1 layers"):
        train_model(recipe, tmp_path)

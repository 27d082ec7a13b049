"""Training: what the head of a model takes over from the one it starts from."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from trainings import EXAMPLES, keyword_recipe, make_task

from sewcli.errors import UsageError
from sewcli.training.ctc import BLANK_BIAS
from sewcli.training.heads import outputs_of, roles, take_head
from sewcli.training.initialise import build_model
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model
from sewcli.training.teacher import Teacher

pytestmark = pytest.mark.usefixtures("undrawn")

STILL = ["steps=1", "peak_rate=1e-12", "front_end_steps=0", "average=0.0"]


@pytest.fixture
def start(recipe_file, tmp_path):
    """A model with the vocabulary of the published checkpoints."""
    train_model(load_recipe(recipe_file, EXAMPLES, STILL), tmp_path / "start")
    return tmp_path / "start/model"


def head(directory):
    tensors = load_file(directory / "model.safetensors")
    names = json.loads((directory / "vocab.json").read_text())
    return {
        name: (tensors["lm_head.weight"][row], tensors["lm_head.bias"][row]) for name, row in names.items()
    }


def test_letters_keep_their_rows_where_another_vocabulary_has_them_elsewhere(
    recipe_file, start, tmp_path, caplog
):
    """In the order of the code points, with the apostrophe first, and as many columns or fewer."""
    with caplog.at_level("INFO", "sewcli"):
        settings = [*STILL, f"init={start}", "vocabulary=build", "punctuation=remove"]
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    before, after = head(start), head(tmp_path / "run/model")
    assert list(after) != list(before)
    assert {"A", "E", "|", "<pad>"} <= after.keys()
    for token, (row, bias) in after.items():
        torch.testing.assert_close(row, before[token][0], rtol=0, atol=1e-3)
        torch.testing.assert_close(bias, before[token][1], rtol=0, atol=1e-3)


def test_letters_of_the_other_case_begin_as_those_there_are(recipe_file, start, tmp_path, caplog):
    lines = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()][:4]
    manifest = tmp_path / "lower.jsonl"
    rows = [
        line | {"audio_filepath": str(EXAMPLES / line["audio_filepath"]), "text": line["text"].lower() + "é"}
        for line in lines
    ]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [*STILL, f"init={start}", "vocabulary=build", f"train={manifest}", f"dev={manifest}"]
    with caplog.at_level("INFO", "sewcli"):
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    before, after = head(start), head(tmp_path / "run/model")
    torch.testing.assert_close(after["a"][0], before["A"][0], rtol=0, atol=1e-3)
    assert not any(torch.allclose(after["é"][0], row, atol=1e-3) for row, _ in before.values())
    assert f"{len(after) - 1} of {len(after)} characters are those of {start}" in caplog.text


def test_a_pickle_in_a_place_that_cannot_be_written_is_read_for_its_head(recipe_file, start, tmp_path):
    """A cache that is read-only gets no safetensors beside it."""
    expected, before = outputs_of(start, "ctc"), head(start)
    torch.save(load_file(start / "model.safetensors"), start / "pytorch_model.bin")
    (start / "model.safetensors").unlink()
    assert outputs_of(start, "ctc") == expected
    task, _, recipe = make_task(recipe_file, tmp_path)
    model = build_model(dataclasses.replace(recipe, family="sew"), task.head, start, None)
    model.lm_head.weight.data.zero_()
    names = roles(task.speller.vocabulary)
    assert not take_head(model, start, "ctc", [*reversed(names)])
    torch.testing.assert_close(model.lm_head.weight[names[::-1].index("A")].detach(), before["A"][0].float())
    Teacher.load(start, names, 4)


def test_an_encoder_without_a_head_gets_one_that_begins_with_blanks(recipe_file, start, tmp_path):
    file = start / "model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(file).items() if not name.startswith("lm_head")}
    save_file(tensors, file, metadata={"format": "pt"})
    assert outputs_of(start, "ctc") is None
    train_model(load_recipe(recipe_file, EXAMPLES, [*STILL, f"init={start}"]), tmp_path / "run")
    after = head(tmp_path / "run/model")
    assert float(after["<pad>"][1]) == pytest.approx(BLANK_BIAS, abs=1e-2)
    assert float(after["E"][1]) == pytest.approx(0, abs=1e-2)


def test_labels_keep_their_rows(tmp_path, caplog):
    settings = ["steps=1", "peak_rate=1e-12", "average=0.0"]
    recipe = keyword_recipe(tmp_path)
    train_model(load_recipe(recipe, EXAMPLES, settings), tmp_path / "start")
    # without other sounds there is no _silence_ and no _unknown_
    lines = [line for line in recipe.read_text().splitlines() if not line.startswith(("background", "noise"))]
    recipe.write_text("\n".join(lines))
    with caplog.at_level("INFO", "sewcli"):
        more = [*settings, f"init={tmp_path / 'start/model'}"]
        train_model(load_recipe(recipe, EXAMPLES, more), tmp_path / "run")
    before, after = (load_file(tmp_path / run / "model/model.safetensors") for run in ("start", "run"))
    torch.testing.assert_close(
        after["classifier.weight"],
        before["classifier.weight"][: len(after["classifier.weight"])],
        rtol=0,
        atol=1e-3,
    )
    assert "4 of 4 labels" in caplog.text


def test_a_teacher_must_have_the_same_letters_in_the_same_order(recipe_file, start, tmp_path):
    vocabulary = json.loads((start / "vocab.json").read_text())
    vocabulary["A"], vocabulary["B"] = vocabulary["B"], vocabulary["A"]
    (start / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(UsageError, match="not a CTC model with the 32 characters"):
        train_model(load_recipe(recipe_file, EXAMPLES, [*STILL, f"teacher={start}"]), tmp_path / "run")


def test_blank_and_delimiter_are_taken_over_however_they_are_spelled(recipe_file, start, tmp_path):
    """As of models fine-tuned with the tokenizer's own names."""
    other = {"<pad>": "[PAD]", "<unk>": "[UNK]"}
    vocabulary = json.loads((start / "vocab.json").read_text())
    vocabulary = {other.get(token, token): row for token, row in vocabulary.items()}
    (start / "vocab.json").write_text(json.dumps(vocabulary))
    settings = json.loads((start / "tokenizer_config.json").read_text())
    settings |= {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    (start / "tokenizer_config.json").write_text(json.dumps(settings))
    before = head(start)
    more = [*STILL, f"init={start}", "vocabulary=english"]
    train_model(load_recipe(recipe_file, EXAMPLES, more), tmp_path / "run")
    after = head(tmp_path / "run/model")
    torch.testing.assert_close(after["<pad>"][0], before["[PAD]"][0], rtol=0, atol=1e-3)
    torch.testing.assert_close(after["<unk>"][0], before["[UNK]"][0], rtol=0, atol=1e-3)


def test_a_head_of_another_width_is_none(tmp_path, caplog):
    settings = ["steps=1", "peak_rate=1e-12", "average=0.0"]
    train_model(load_recipe(keyword_recipe(tmp_path), EXAMPLES, settings), tmp_path / "start")
    more = [*settings, f"init={tmp_path / 'start/model'}", "config.classifier_proj_size=24"]
    with caplog.at_level("INFO", "sewcli"):
        train_model(load_recipe(keyword_recipe(tmp_path), EXAMPLES, more), tmp_path / "run")
    assert "0 of 6 labels are those of" in caplog.text


def test_a_sew_d_classifier_starts_with_the_head_of_a_sew_classifier(tmp_path):
    settings = ["steps=1", "peak_rate=1e-12", "average=0.0"]
    train_model(load_recipe(keyword_recipe(tmp_path), EXAMPLES, settings), tmp_path / "start")
    recipe = keyword_recipe(tmp_path, family="sew-d", init=str(tmp_path / "start/model"))
    lines = [line for line in recipe.read_text().splitlines() if "layerdrop" not in line]
    recipe.write_text("\n".join(lines))
    train_model(load_recipe(recipe, EXAMPLES, settings), tmp_path / "run")
    before, after = (load_file(tmp_path / run / "model/model.safetensors") for run in ("start", "run"))
    for name in ("projector.weight", "classifier.weight"):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-3)

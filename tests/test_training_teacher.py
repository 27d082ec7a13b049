"""Models from nothing that begin with the convolutions and the posteriors of another."""

import json

import pytest
import torch
from safetensors.torch import load_file
from trainings import EXAMPLES

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.forward import ctc_logits
from sewcli.acoustic.statistics import wave_statistics
from sewcli.errors import ModelError, UsageError
from sewcli.hub.fetching import fetch
from sewcli.registry import resolve
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model
from sewcli.training.teacher import Teacher
from sewcli.training.vocabulary import ENGLISH

pytestmark = pytest.mark.usefixtures("undrawn")

SMALL = [
    "config={hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48}",
    "freeze_feature_encoder=true",
]
#: convolutions of its own
LEARNED = ["freeze_feature_encoder=false", "front_end_steps=0"]


def nano():
    return fetch(resolve("nano"), offline=True).directory


def test_a_model_from_nothing_has_the_convolutions_it_is_given(recipe_file, tmp_path):
    settings = [
        *SMALL,
        "feature_encoder=nano",
        "steps=2",
        "keep_features=1",
        "teacher=nano",
        "speeds=[0.9, 1.1]",
    ]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path)
    own, given = load_file(tmp_path / "model/model.safetensors"), load_file(nano() / "model.safetensors")
    names = [name for name in given if "feature_extractor" in name]
    assert len(names) > 12
    assert all(torch.equal(own[name], given[name]) for name in names)
    assert own["lm_head.weight"].shape[1] == 32


def test_convolutions_of_another_shape_are_refused(recipe_file, tmp_path):
    settings = [
        "feature_encoder=nano",
        *SMALL,
        f"config.conv_dim={[8] * 13}",
    ]
    with pytest.raises(ModelError, match=r"feature_encoder.*other shapes"):
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path)


def test_the_teacher_counts_less_and_less():
    teacher = Teacher.load(nano(), ENGLISH, 4)
    assert [teacher.share(step) for step in range(6)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def test_the_divergence_from_the_teacher_is_zero_for_its_own_logits_alone():
    import transformers

    model = transformers.SEWForCTC.from_pretrained(nano(), dtype=torch.float32).eval()
    rows = [torch.randn(n, generator=torch.Generator().manual_seed(n)).numpy() for n in (9000, 16_000)]
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    teacher = Teacher.load(nano(), ENGLISH, 4)
    with torch.no_grad():
        logits = ctc_logits(model, batch)
        assert abs(float(teacher.loss(logits, batch, 5))) < 1e-5
        changed = logits.clone()
        changed[0, int(batch.frames[0]) // 2 * 2 :] += torch.randn(32)  # past the end of the row
        assert abs(float(teacher.loss(changed, batch, 5))) < 1e-5
        other = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
        wanted, found = logits.log_softmax(-1), other.log_softmax(-1)
        expected = sum(
            torch.nn.functional.kl_div(found[row, :n], wanted[row, :n], log_target=True, reduction="sum")
            for row, n in enumerate((batch.frames // 2 * 2).tolist())
        )
        torch.testing.assert_close(teacher.loss(other, batch, 5), expected / 5)


@pytest.mark.slow
def test_a_student_comes_nearer_to_its_teacher(recipe_file, tmp_path):
    losses = []
    for steps in (2, 30):
        settings = [
            *SMALL,
            "teacher=nano",
            "teacher_steps=100000",
            f"steps={steps}",
            "peak_rate=3e-3",
            "warmup=1",
        ]
        settings += [
            "feature_encoder=nano",
            "keep_features=1",
            "speeds=[1.0]",
            "average=0.0",
            "decay_from=1.0",
        ]
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / str(steps))
        records = [json.loads(line) for line in (tmp_path / str(steps) / "metrics.jsonl").open()]
        losses.append(records[-1]["train_loss"])
    assert losses[1] < 0.8 * losses[0]


@pytest.mark.parametrize("teacher", ["nano-keywords", "other"])
def test_a_teacher_with_other_columns_or_no_ctc_is_refused(recipe_file, tmp_path, teacher):
    name = teacher
    if teacher == "other":
        settings = [*SMALL, *LEARNED, "vocabulary=build", "steps=1"]
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "other")
        name = str(tmp_path / "other/model")
    settings = [*SMALL, *LEARNED, f"teacher={name}"]
    with pytest.raises(UsageError, match=r"teacher.*32 characters"):
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "student")


def test_kept_features_need_the_convolutions_of_the_teacher(recipe_file, tmp_path):
    other = [*SMALL, *LEARNED, f"config.conv_dim={[8] * 13}", "steps=1"]
    train_model(load_recipe(recipe_file, EXAMPLES, other), tmp_path / "other")
    teacher = f"teacher={tmp_path}/other/model"
    settings = [*SMALL, "feature_encoder=nano", teacher, "keep_features=1", "steps=1"]
    with pytest.raises(UsageError, match="same convolutions"):
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["feature_encoder=nano", "init=nano"], "feature_encoder is for a model from nothing"),
        (["teacher=nano", "task=classification"], "teacher is for task ctc"),
    ],
)
def test_models_without_effect_are_refused(recipe_file, tmp_path, settings, message):
    with pytest.raises(UsageError, match=message):
        train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path)

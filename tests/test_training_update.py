"""One update of the training loop, by hand: gradient, clipping, rate, moving average, optimisers, loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from networks import random_model
from torch import nn
from trainings import EXAMPLES, keyword_recipe

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.forward import class_logits
from sewcli.acoustic.statistics import wave_statistics
from sewcli.inputs.manifest import load_manifest
from sewcli.training.cache import AudioCache
from sewcli.training.checkpoint import CHOSEN, load_checkpoint
from sewcli.training.classification import ClassificationTask
from sewcli.training.history import History
from sewcli.training.loop import Trainer
from sewcli.training.optimizers import make_optimizers
from sewcli.training.recipe import load_recipe

RATE, CLIP, DECAY = 0.1, 2.0, 0.9


class Plane(nn.Module):
    """Two parameters, whose gradient is what a clip says."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0]))


class Slopes:
    """A task whose loss is a plane over the parameters, another for each clip; keeps what it is asked."""

    selection_metrics = ("loss",)
    outputs: dict[str, list[str]] = {"labels": []}  # noqa: RUF012 - of the interface
    fingerprint = dev_fingerprint = ""
    lengths = np.full(8, 16_000)

    def __init__(self) -> None:
        self.slopes = np.random.default_rng(4).standard_normal((8, 2)).astype(np.float32) * 3
        self.heard: list[np.ndarray] = []

    def example(self, index: int, _speed: float, _rng: np.random.Generator) -> tuple[Any, Any]:
        return np.ones(16_000, dtype=np.float32), self.slopes[index]

    def kept(self, _index: int, _rng: np.random.Generator) -> None:
        return None

    def begin(self, step: int) -> None:
        assert step == len(self.heard) // 3

    def loss(self, model: Plane, _batch: Batch, targets: list[np.ndarray]) -> torch.Tensor:
        [slope] = targets  # a batch holds a second
        self.heard.append(slope)
        return model.weight @ torch.from_numpy(slope)

    def evaluate(self, _model: Plane, _samples: int) -> tuple[dict[str, float], list[tuple[str, str]]]:
        return {"loss": 0.0}, []


class Losses:
    """Keeps what the loop tells of its updates."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float, float]] = []

    def updated(self, step: int, loss: float, rate: float, _speed: float) -> None:
        self.told.append((step, loss, rate))

    def evaluated(self, record: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
        pass

    def close(self) -> None:
        pass


def test_three_updates_are_those_by_hand(recipe_file: Path, tmp_path: Path) -> None:
    settings = ["steps=3", "accumulate=3", "batch_seconds=1", "speeds=[1.0]", "warmup=2", "decay_from=0.0"]
    settings += [f"peak_rate={RATE}", f"clip_norm={CLIP}", f"average={DECAY}", "precision=float32"]
    settings += ["front_end_steps=0", "eval_every=3"]
    recipe = load_recipe(recipe_file, EXAMPLES, settings)
    task, model, losses = Slopes(), Plane(), Losses()
    trainer = Trainer(recipe, model, task, tmp_path, Accelerator(cpu=True), History((), ()), [losses])
    trainer.optimizers = [torch.optim.SGD(model.parameters())]
    trainer.run()

    weight = np.array([1.0, -2.0])
    average, norms = weight, []
    for step, rate in enumerate((0.5 * RATE, 2 / 3 * RATE, 1 / 3 * RATE)):
        slopes = np.stack(task.heard[3 * step : 3 * step + 3])
        told = losses.told[step]
        assert told == (step + 1, pytest.approx((slopes @ weight).mean(), abs=1e-5), pytest.approx(rate))
        gradient = slopes.mean(axis=0)
        norms.append(float(np.linalg.norm(gradient)))
        weight = weight - rate * gradient * min(1.0, CLIP / norms[-1])
        # the average begins with the first update
        average = weight if step == 0 else DECAY * average + (1 - DECAY) * weight
    assert min(norms) < CLIP < max(norms)
    np.testing.assert_allclose(model.weight.detach(), weight, rtol=1e-5)
    chosen = load_checkpoint(tmp_path, CHOSEN)
    assert chosen is not None
    np.testing.assert_allclose(chosen["model"]["weight"], average, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("SEW", "attention.k_proj attention.v_proj attention.q_proj attention.out_proj "
         "feed_forward.intermediate_dense feed_forward.output_dense"),
        ("SEWD", "attention.self.query_proj attention.self.key_proj attention.self.value_proj "
         "attention.output.dense intermediate.dense output.dense"),
    ],
)  # fmt: skip
def test_muon_has_the_matrices_of_the_encoder_and_adamw_the_rest(family: str, layer: str) -> None:
    model = random_model(family, "ForCTC", num_hidden_layers=1)
    model.freeze_feature_encoder()
    names = {id(tensor): name for name, tensor in model.named_parameters() if tensor.requires_grad}
    assert 0 < len(names) < len(list(model.parameters()))
    adamw, muon = make_optimizers(model, "muon", 0.3)
    groups = [group for optimizer in (adamw, muon) for group in optimizer.param_groups]
    assert [group["weight_decay"] for group in groups] == [0.3, 0.3]
    own, rest = ({names[id(tensor)] for tensor in group["params"]} for group in reversed(groups))
    prefix = "sew.encoder.layers.0" if family == "SEW" else "sew_d.encoder.encoder.layer.0"
    base = model.base_model_prefix
    others = {f"{base}.feature_projection.weight", f"{base}.encoder.upsample.projection.weight"}
    others |= {"sew_d.encoder.encoder.rel_embeddings.weight"} if family == "SEWD" else set()
    assert own == {f"{prefix}.{part}.weight" for part in layer.split()} | others
    assert rest == {*names.values()} - own
    [alone] = make_optimizers(model, "adamw", 0.3)
    assert {names[id(tensor)] for tensor in alone.param_groups[0]["params"]} == {*names.values()}


def test_label_smoothing_is_in_the_loss_of_a_classifier(tmp_path: Path) -> None:
    rows = load_manifest(EXAMPLES / "keywords.jsonl").rows
    clips = AudioCache.build(list(rows), tmp_path)
    recipe = load_recipe(keyword_recipe(tmp_path), EXAMPLES, ["label_smoothing=0.3"])
    task = ClassificationTask(recipe, clips, clips, None)
    model = random_model("SEW", "ForSequenceClassification", num_labels=len(task.labels))
    samples = [clips.clip(clip) for clip in range(2)]
    batch = make_batch(samples, [wave_statistics(row) for row in samples], normalize=True)
    with torch.no_grad():
        found = task.loss(model, batch, [0, 2])
        scores = class_logits(model, batch).log_softmax(-1).double()
    # a share of what is wanted lies on all labels alike
    wanted = torch.full(scores.shape, 0.3 / len(task.labels), dtype=torch.float64)
    wanted[[0, 1], [0, 2]] += 0.7
    assert float(found) == pytest.approx(float(-(wanted * scores).sum(-1).mean()), rel=1e-5)

"""Training: what comes out of it."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from trainings import EXAMPLES, keyword_recipe

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.forward import ctc_logits
from sewcli.acoustic.statistics import wave_statistics
from sewcli.audio import read_blocks
from sewcli.errors import ModelError, UsageError
from sewcli.inputs.source import Source
from sewcli.training.ctc import CtcTask, Target
from sewcli.training.initialise import log_mel
from sewcli.training.recipe import load_recipe
from sewcli.training.session import train_model
from sewcli.training.vocabulary import Speller, english_vocabulary

pytestmark = pytest.mark.usefixtures("undrawn")


def test_a_classifier_learns_keywords_silence_and_other_speech(tmp_path):
    import transformers

    train_model(load_recipe(keyword_recipe(tmp_path), EXAMPLES, []), tmp_path / "run")
    model = transformers.SEWForSequenceClassification.from_pretrained(tmp_path / "run/model")
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    assert labels == ["computer", "jarvis", "operator", "seven", "_silence_", "_unknown_"]
    metrics = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").open()]
    assert metrics[-1]["step"] == 4
    assert metrics[-1]["accuracy"] == pytest.approx(1 - metrics[-1]["error"])


def test_the_train_command_writes_a_model_and_asks_before_it_goes_on(sew, recipe_file, tmp_path):
    command = ["train", recipe_file, "--data", EXAMPLES, "-o", tmp_path / "run", "--set", "steps=2"]
    assert sew(*command).code == 0
    assert (tmp_path / "run/model/model.safetensors").exists()
    again = sew(*command)
    assert again.code == 2
    assert "--resume" in again.err
    assert sew(*command, "--resume").code == 0
    assert sew("transcribe", EXAMPLES / "speech/explosion.opus", "-m", tmp_path / "run/model").code == 0
    assert sew("train", tmp_path / "none.toml", "-o", tmp_path / "other").code == 2


def test_the_exported_model_loads_in_transformers_in_float32(recipe_file, tmp_path):
    import transformers

    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=3"]), tmp_path / "run")
    directory = tmp_path / "run/model"
    model, report = transformers.SEWForCTC.from_pretrained(directory, output_loading_info=True)
    assert not report["missing_keys"]
    assert model.dtype == torch.float32
    stored = load_file(directory / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    tokenizer = transformers.Wav2Vec2CTCTokenizer.from_pretrained(directory)
    ids = Speller(english_vocabulary()).encode("SEE THE CAT'S EYE")
    spaced = [token for pair in zip(ids, [0] * len(ids), strict=True) for token in pair]
    assert tokenizer.decode(spaced) == "SEE THE CAT'S EYE"


def test_learning_goes_down(recipe_file, tmp_path):
    """Six clips, forty updates: the loss on them must fall well below its start."""
    recipe = load_recipe(recipe_file, EXAMPLES, ["steps=40", "eval_every=20", "speeds=[1.0]"])
    train_model(recipe, tmp_path / "run")
    first, last = (json.loads(line)["train_loss"] for line in (tmp_path / "run/metrics.jsonl").open())
    assert last < 0.8 * first


def test_sixteen_bit_training_keeps_the_statistics_of_a_faint_clip_finite():
    """Rounded to bfloat16 the variance of a channel can be negative, and its root NaN."""
    from networks import random_model

    rng = np.random.default_rng(0)
    rows = [(rng.standard_normal(16_080) * 1e-4 + 0.2).astype(np.float32) for _ in range(3)]
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    model = random_model("SEW", "ForCTC")
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert torch.isfinite(ctc_logits(model, batch)).all()


def test_log_mel_frames_are_the_frames_of_the_model():
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    energies = log_mel(torch.from_numpy(tone)[None])[0]
    assert energies.shape == (49, 80)
    assert int(energies.mean(0).argmax()) == pytest.approx(27, abs=2)  # 1 kHz lies in mel band 27
    for place in (320 * 5 + 81, 320 * 5 + 319):  # the ends of what no frame but the sixth reads
        click = torch.zeros(1, 16_000)
        click[0, place] = 1.0
        energies = log_mel(click)[0].sum(dim=1)
        assert (energies > energies.min() + 1).nonzero().flatten().tolist() == [5]


def test_what_the_data_decide_is_not_for_the_configuration(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file, EXAMPLES, ["config.vocab_size=40"])
    with pytest.raises(UsageError, match="vocab_size follow"):
        train_model(recipe, tmp_path / "run")


@pytest.mark.parametrize("setting", ["config.add_adapter=true", "config.adapter_attn_dim=16"])
def test_adapters_are_refused_by_name(recipe_file, tmp_path, setting):
    recipe = load_recipe(recipe_file, EXAMPLES, [setting])
    with pytest.raises(ModelError, match=r"adapter"):
        train_model(recipe, tmp_path / "run")


def test_one_label_is_no_classification(tmp_path):
    manifest = tmp_path / "one.jsonl"
    clip = {"audio_filepath": str(EXAMPLES / "keywords/seven.opus"), "label": "seven"}
    manifest.write_text(json.dumps(clip) + "\n")
    recipe = keyword_recipe(tmp_path, train=str(manifest), dev=str(manifest))
    settings = load_recipe(recipe, EXAMPLES, [])
    with pytest.raises(UsageError, match=r"one label, .seven.; a classifier needs two"):
        train_model(dataclasses.replace(settings, background=None, background_dev=None), tmp_path / "run")


def test_labels_alone_make_a_classifier_without_other_sounds(tmp_path):
    recipe = load_recipe(keyword_recipe(tmp_path, noise_probability=0.0), EXAMPLES, [])
    train_model(dataclasses.replace(recipe, background=None, background_dev=None), tmp_path / "run")
    config = json.loads((tmp_path / "run/model/config.json").read_text())
    assert list(config["id2label"].values()) == ["computer", "jarvis", "operator", "seven"]


def test_the_loss_is_that_of_the_library(recipe_file):
    """Both reductions, on clips whose frames are even in number (the odd last frame is never trained)."""
    from networks import random_model

    rng = np.random.default_rng(0)
    rows = [rng.standard_normal(400 + 320 * n).astype(np.float32) for n in (59, 79)]
    texts = [[5, 6, 7], [8, 8, 9, 10]]
    speller = Speller(english_vocabulary())
    task = CtcTask.__new__(CtcTask)
    task.speller, task._recipe = speller, load_recipe(recipe_file, EXAMPLES, [])
    task._teacher = task._phones = None
    task._counts_words = False
    for reduction in ("mean", "sum"):
        model = random_model("SEW", "ForCTC")
        model.config.ctc_loss_reduction, model.config.ctc_zero_infinity = reduction, True
        model.config.pad_token_id = 0
        ours, theirs = [], []
        for row, ids in zip(rows, texts, strict=True):
            statistics = wave_statistics(row)
            batch = make_batch([row], [statistics], normalize=True)
            ours.append(float(task.loss(model, batch, [Target(ids, [])]).detach()))
            values = torch.from_numpy((row - statistics.mean) * statistics.scale).float()[None]
            with torch.no_grad():
                theirs.append(float(model(values, labels=torch.tensor([ids])).loss))
        assert ours == pytest.approx(theirs, rel=1e-4)
        batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
        both = float(task.loss(model, batch, [Target(ids, []) for ids in texts]).detach())
        assert both == pytest.approx(np.mean(theirs) if reduction == "mean" else np.sum(theirs), rel=1e-4)


def test_a_frozen_feature_encoder_stays_and_the_rest_learns(recipe_file, tmp_path):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "first")
    settings = [f"init={tmp_path}/first/model", "freeze_feature_encoder=true", "steps=3", "average=0.0"]
    settings += ["choose=last"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "second")
    before, after = (load_file(tmp_path / run / "model/model.safetensors") for run in ("first", "second"))
    for name, tensor in before.items():
        if "feature_extractor" in name:
            assert torch.equal(tensor, after[name])
    assert not torch.equal(before["lm_head.weight"], after["lm_head.weight"])


@pytest.mark.parametrize(("family", "layers"), [("sew", 1), ("sew-d", 1), ("sew", 2)])
def test_frozen_layers_and_what_comes_before_them_stay_and_the_rest_learns(
    recipe_file, tmp_path, family, layers
):
    shape = [f"family={family}", "config.num_hidden_layers=2"]
    train_model(load_recipe(recipe_file, EXAMPLES, [*shape, "steps=1"]), tmp_path / "first")
    settings = [*shape, f"init={tmp_path}/first/model", f"freeze_layers={layers}", "steps=3", "average=0.0"]
    train_model(load_recipe(recipe_file, EXAMPLES, [*settings, "choose=last"]), tmp_path / "second")
    before, after = (load_file(tmp_path / run / "model/model.safetensors") for run in ("first", "second"))
    learned = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    of_last = {name for name in before if "layer.1." in name or "layers.1." in name or "upsample" in name}
    assert "lm_head.weight" in learned
    assert learned <= {"lm_head.weight", "lm_head.bias"} | (of_last if layers == 1 else set())
    assert bool(learned & of_last) == (layers == 1)
    with pytest.raises(UsageError, match="freeze_layers is 3; the model has 2 layers"):
        train_model(load_recipe(recipe_file, EXAMPLES, [*settings, "freeze_layers=3"]), tmp_path / "third")


def test_a_large_model_is_exported_in_parts(recipe_file, tmp_path):
    import transformers

    settings = ["steps=1", "part_mib=1", "config.hidden_size=256", "config.intermediate_size=1024"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    directory = tmp_path / "run/model"
    assert len(list(directory.glob("model-*.safetensors"))) > 1
    _, report = transformers.SEWForCTC.from_pretrained(directory, output_loading_info=True)
    assert not report["missing_keys"]


def test_a_finished_run_gives_its_model_again_without_its_log(recipe_file, tmp_path, caplog):
    train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "run")
    (tmp_path / "run/metrics.jsonl").unlink()
    with caplog.at_level("INFO", "sewcli"):
        train_model(load_recipe(recipe_file, EXAMPLES, ["steps=1"]), tmp_path / "run")
    assert "no picture of the curves: metrics.jsonl has no evaluation" in caplog.messages


def test_the_loss_on_dev_is_that_of_the_library(recipe_file, tmp_path):
    """The mean over utterances of that of SEWForCTC on each alone."""
    import transformers

    settings = ["steps=1", "precision=float32", "config.ctc_zero_infinity=true"]
    train_model(load_recipe(recipe_file, EXAMPLES, settings), tmp_path / "run")
    (record,) = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").open()]
    model = transformers.SEWForCTC.from_pretrained(tmp_path / "run/model", dtype=torch.float32).eval()
    speller, losses = Speller(english_vocabulary()), []
    for row in map(json.loads, (EXAMPLES / "speech.jsonl").open()):
        file = EXAMPLES / row["audio_filepath"]
        samples = np.concatenate(list(read_blocks(Source(str(file), file))))
        samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        target = torch.tensor([speller.encode(speller.normalize(row["text"]))])
        with torch.no_grad():
            losses.append(float(model(torch.from_numpy(samples[None]), labels=target).loss))
    # the weights of the model are rounded to float16
    assert record["loss"] == pytest.approx(np.mean(losses), rel=1e-3)


def test_masks_longer_than_a_batch_are_left_out():
    """transformers raises ValueError there, at every attempt to go on."""
    from networks import random_model

    model = random_model("SEW", "ForCTC", mask_time_prob=0.5, mask_time_length=64).train()
    rows = [np.random.default_rng(0).standard_normal(8_000).astype(np.float32)]
    batch = make_batch(rows, [wave_statistics(row) for row in rows], normalize=True)
    assert torch.isfinite(ctc_logits(model, batch)).all()
    assert model.config.mask_time_prob == 0.5


@pytest.mark.slow
def test_fine_tuning_on_a_few_clips_reproduces_their_text(sew, tmp_path):
    """From nano, whose own transcripts of the clips are wrong."""
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()]
    rows = sorted(rows, key=lambda row: row["duration"])[:2]
    for row in rows:
        row["audio_filepath"] = str(EXAMPLES / row["audio_filepath"])
    manifest = tmp_path / "few.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    settings = ["steps=36", "eval_every=36", "peak_rate=7e-4", "warmup=4", "speeds=[1.0]", "average=0.8"]
    command = ["train", manifest, "--dev", manifest, "-o", tmp_path / "run", "--device", "cpu"]
    done = sew(*command, *(item for setting in settings for item in ("--set", setting)))
    assert done.code == 0, done.err
    clips = [row["audio_filepath"] for row in rows]
    texts = [row["text"] for row in rows]
    assert sew("transcribe", "-h", *clips).lines != texts
    assert sew("transcribe", "-h", "-m", tmp_path / "run/model", *clips).lines == texts


def test_bad_rows_are_told_once(sew, recipe_file, tmp_path):
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").open()]
    manifest = tmp_path / "clips.jsonl"
    lines = [json.dumps(row | {"audio_filepath": str(EXAMPLES / row["audio_filepath"])}) for row in rows]
    manifest.write_text("\n".join([*lines, "no row"]))
    given = ("train", manifest, "-o", tmp_path / "run", "--set", "steps=1")
    refused = sew(*given)
    assert refused.code == 2
    assert refused.err.count(f"{manifest}:{len(rows) + 1}: ") == 1
    result = sew(*given, "--skip-bad")
    assert result.code == 0, result.err
    assert result.err.count(f"{manifest}:{len(rows) + 1}: ") == 1
    assert f"1 bad rows left out, {len(rows)} kept" in result.err

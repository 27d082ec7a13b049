"""The CTC loss of `sew evaluate` against SEWForCTC and SEWDForCTC of transformers."""

import json
import math
from itertools import product

import numpy as np
import pytest
import torch
import transformers
from helpers import babble, change_json, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

from sewcli.decoding.vocabulary import load_vocabulary
from sewcli.errors import ModelError
from sewcli.evaluation.loss import CtcLoss, negative_log_likelihood
from sewcli.hub.fetching import fetch
from sewcli.registry import resolve

TEXTS = ["HELLO WORLD", "SEE ALL", "IT'S A QUIZ"]
#: even and odd numbers of frames
LENGTHS = [640 * 40 + 80, 16_000, 640 * 40 + 399]


def normalised(samples):
    return (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)


def reference_loss(directory, clips, texts):
    """The loss of transformers for clips of one length as one batch, labels padded with -100."""
    vocabulary = json.loads((directory / "vocab.json").read_text())
    ids = [[vocabulary[c] for c in text.replace(" ", "|")] for text in texts]
    width = max(map(len, ids))
    labels = torch.tensor([row + [-100] * (width - len(row)) for row in ids])
    model = transformers.AutoModelForCTC.from_pretrained(directory, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.from_numpy(np.stack([*map(normalised, clips)])), labels=labels).loss.item()


def evaluated(sew, folder, directory, clips, texts, *options):
    """What `sew evaluate` makes of the same clips, and its table."""
    import soundfile

    rows = []
    for number, (clip, text) in enumerate(zip(clips, texts, strict=True)):
        soundfile.write(folder / f"{number}.wav", clip, 16_000, subtype="FLOAT")
        rows.append(json.dumps({"audio_filepath": f"{number}.wav", "text": text}))
    (folder / "m.jsonl").write_text("\n".join(rows))
    table = folder / "t.jsonl"
    done = sew(
        "evaluate",
        folder / "m.jsonl",
        "-m",
        directory,
        "-f",
        "json",
        "--table",
        table,
        "--overwrite",
        *options,
    )
    assert done.code == 0, done.err
    return done.records[0], [json.loads(line) for line in table.read_text().splitlines()], done


@pytest.mark.float32
@pytest.mark.parametrize("family", ["ctc", "ctc_d"])
@pytest.mark.parametrize("samples", LENGTHS)
def test_the_loss_is_that_of_transformers_for_each_utterance_and_for_the_batch(
    sew, request, tmp_path, family, samples
):
    directory = request.getfixturevalue(family)
    clips = [babble(samples / 16_000, seed) for seed in range(3)]
    scores, table, _ = evaluated(sew, tmp_path, directory, clips, TEXTS)
    for clip, text, line in zip(clips, TEXTS, table, strict=True):
        assert line["loss"] == pytest.approx(reference_loss(directory, [clip], [text]), abs=1e-4)
    assert scores["loss"] == pytest.approx(reference_loss(directory, clips, TEXTS), abs=1e-4)
    assert scores["loss_utterances"] == 3


@pytest.mark.float32
def test_the_loss_does_not_depend_on_the_batch(sew, ctc, tmp_path):
    clips = [babble(seconds, seed) for seed, seconds in enumerate((1.0, 2.3, 0.7))]
    alone = evaluated(sew, tmp_path, ctc, clips, TEXTS)[1]
    together = evaluated(sew, tmp_path, ctc, clips, TEXTS, "--batch-seconds", "60")[1]
    for one, other, clip, text in zip(alone, together, clips, TEXTS, strict=True):
        assert one["loss"] == pytest.approx(reference_loss(ctc, [clip], [text]), abs=1e-4)
        assert other["loss"] == pytest.approx(one["loss"], abs=1e-4)


@pytest.mark.float32
def test_the_loss_of_nano_is_that_of_transformers(sew, tmp_path):
    directory = fetch(resolve("nano")).directory
    clip = babble(1.5, 4)
    scores = evaluated(sew, tmp_path, "nano", [clip], ["GO FORWARD TEN METERS"])[0]
    expected = reference_loss(directory, [clip], ["GO FORWARD TEN METERS"])
    assert scores["loss"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.float32
@pytest.mark.parametrize(
    "config",
    [
        {"ctc_loss_reduction": "sum"},
        {"ctc_loss_reduction": "sum", "ctc_zero_infinity": True},
        {"ctc_zero_infinity": True},
        {"pad_token_id": 5},
    ],
)
def test_the_configuration_of_the_model_is_kept_to(sew, tmp_path, config):
    directory = tiny_model(tmp_path / "model", "sew", "ctc")
    change_json(directory / "config.json", **config)
    clip, text = babble(1.0, 1), "SOUND AND SIGNS"
    (line,) = evaluated(sew, tmp_path, directory, [clip], [text])[1]
    assert line["loss"] == pytest.approx(reference_loss(directory, [clip], [text]), rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("blank", [-1, 32, "<pad>"])
def test_a_blank_that_is_no_token_is_refused(ctc, blank):
    with pytest.raises(ModelError, match=r"pad_token_id .* is no token"):
        CtcLoss.of({"pad_token_id": blank}, load_vocabulary(ctc, 32), np.zeros(32, dtype=np.float32))


def test_the_defaults_are_those_of_the_configurations_of_transformers(ctc):
    vocabulary = load_vocabulary(ctc, 32)
    loss = CtcLoss.of({}, vocabulary, np.zeros(32, dtype=np.float32))
    for config in (transformers.SEWConfig(), transformers.SEWDConfig()):
        assert loss.reduction == config.ctc_loss_reduction
        assert loss.zero_infinity == config.ctc_zero_infinity
        assert loss.blank == config.pad_token_id


@pytest.mark.float32
@pytest.mark.parametrize("zero_infinity", [True, False])
def test_a_text_that_does_not_fit_its_frames_is_counted_and_told(sew, tmp_path, zero_infinity):
    directory = tiny_model(tmp_path / "model", "sew", "ctc", ctc_zero_infinity=zero_infinity)
    clips, texts = [babble(1.0, 1), babble(1.0, 2)], ["GOOD", "A" * 30]
    scores, table, done = evaluated(sew, tmp_path, directory, clips, texts)
    assert scores["loss_misfits"] == 1
    assert "m.jsonl:2" in done.err
    assert "30 characters do not fit 49 frames" in done.err
    if zero_infinity:
        assert scores["loss"] == pytest.approx(reference_loss(directory, clips, texts), abs=1e-4)
        assert (scores["loss_utterances"], table[1]["loss"]) == (2, 0.0)
    else:
        assert math.isinf(reference_loss(directory, clips, texts))
        assert scores["loss"] == pytest.approx(table[0]["loss"])
        assert (scores["loss_utterances"], table[1]["loss"]) == (1, None)


@pytest.mark.float32
def test_a_text_that_cannot_be_spelled_is_counted_and_told_and_scored_all_the_same(sew, ctc, tmp_path):
    clips = [babble(1.0, seed) for seed in range(2)]
    scores, table, done = evaluated(sew, tmp_path, ctc, clips, ["It's 7 o'clock!", "fine"])
    assert (scores["loss_unspellable"], scores["loss_utterances"]) == (1, 1)
    assert scores["utterances"] == 2
    assert scores["words"] == 4
    assert "m.jsonl:1" in done.err
    assert "has no '!' '7'" in done.err
    assert table[0]["loss"] is None
    assert table[1]["loss"] == pytest.approx(reference_loss(ctc, clips[1:], ["FINE"]), abs=1e-4)


@pytest.mark.float32
def test_a_normalizer_lets_punctuated_texts_have_a_loss(sew, ctc, tmp_path):
    clip = babble(1.5, 3)
    scores = evaluated(sew, tmp_path, ctc, [clip], ["Yes, it's - two!"], "--normalizer", "whisper-en")[0]
    assert scores["loss"] == pytest.approx(reference_loss(ctc, [clip], ["YES IT'S TWO"]), abs=1e-4)


def test_a_long_recording_is_the_loss_of_the_frames_it_was_decoded_from(ctc):
    """The frames of many chunks, past what is kept in memory, against torch on all at once."""
    logits = np.random.default_rng(1).standard_normal((40_001, 32)).astype(np.float32)
    loss = CtcLoss(load_vocabulary(ctc, 32), logits[-1])
    recording = loss.recording()
    for start in range(0, 40_000, 999):
        recording.push(logits[start : min(start + 999, 40_000)])
    text = "THE SAME WORDS " * 5
    found = recording.finish(text, 400 + 320 * 40_000).value
    recording.close()
    ids = torch.tensor(loss.vocabulary.encode(text))
    expected = torch.nn.functional.ctc_loss(
        torch.from_numpy(logits).double().log_softmax(-1)[:, None], ids[None], (40_001,), (len(ids),)
    )
    assert found == pytest.approx(expected.item(), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 2), max_size=4), st.integers(1, 5), st.integers(0, 2**31))
def test_the_likelihood_is_the_sum_over_all_paths(tokens, frames, seed):
    posteriors = np.random.default_rng(seed).dirichlet(np.ones(3), size=frames)
    total = 0.0
    for path in product(range(3), repeat=frames):
        merged = [token for i, token in enumerate(path) if token and (i == 0 or token != path[i - 1])]
        if merged == tokens:
            total += math.prod(posteriors[range(frames), path])
    found = negative_log_likelihood([np.log(posteriors)], frames, tokens, 0)
    assert found == pytest.approx(-math.log(total) if total else math.inf)


def test_a_text_that_a_normaliser_empties_has_no_loss_and_a_typographic_apostrophe_is_one(sew, ctc, tmp_path):
    clips = [babble(1.0, seed) for seed in range(3)]
    texts = ["...", "don't", "don\u2019t"]
    scores, table, _ = evaluated(sew, tmp_path, ctc, clips[:1] * 3, texts, "--normalizer", "basic")
    assert (scores["loss_unspellable"], scores["loss_utterances"]) == (1, 2)
    assert table[0]["loss"] is None
    _, table, _ = evaluated(sew, tmp_path, ctc, clips[:1] * 2, texts[1:])
    assert table[0]["loss"] == table[1]["loss"]

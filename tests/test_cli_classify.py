"""`sew classify`: labels of clips and their probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import LABELS, tiny_model, write_babble

FAMILIES = ["classifier", "classifier_d"]


def transformers_scores(model: Path, clip: Path) -> dict[str, float]:
    """Probabilities by the transformers library itself."""
    import torch
    from transformers import AutoModelForAudioClassification

    samples, _ = soundfile.read(clip, dtype="float32")
    wave = torch.from_numpy((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7))
    with torch.no_grad():
        logits = AutoModelForAudioClassification.from_pretrained(model).eval()(wave[None]).logits[0]
    return dict(zip(LABELS, logits.softmax(-1).tolist(), strict=True))


@pytest.mark.float32
@pytest.mark.parametrize("family", FAMILIES)
def test_probabilities_are_those_of_transformers_and_sum_to_1(
    sew: Sew, audio: Path, family: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(family)
    paths = [audio / "a.wav", audio / "b.wav"]  # an odd and an even number of frames
    records = sew("classify", *paths, "-m", model, "--top", "99", "-f", "json").records
    for path, record in zip(paths, records, strict=True):
        found = {entry["label"]: entry["score"] for entry in record["labels"]}
        assert found == pytest.approx(transformers_scores(model, path), abs=1e-4)
        assert sum(found.values()) == pytest.approx(1, abs=1e-5)
        scores = [entry["score"] for entry in record["labels"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] - scores[-1] > 0.01


def test_json_has_the_keys_of_the_schema_in_order(sew: Sew, classifier: Path, audio: Path) -> None:
    path = audio / "b.wav"
    [record] = sew("classify", path, "-m", classifier, "-f", "json").records
    assert list(record) == ["schema_version", "path", "duration", "labels", "model"]
    assert (record["schema_version"], record["path"], record["duration"]) == (1, str(path), 1.3)
    assert record["model"] == {"id": str(classifier), "revision": None}
    [best] = record["labels"]
    assert list(best) == ["label", "score"]
    assert best["label"] in LABELS


@pytest.mark.parametrize("family", FAMILIES)
def test_text_is_label_and_score_with_the_path_for_several_inputs(
    sew: Sew, audio: Path, family: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(family)
    paths = [audio / "a.wav", audio / "b.wav", audio / "sub" / "c.d.flac"]
    records = sew("classify", audio, "-m", model, "-f", "json", "--top", "2").records
    assert [record["path"] for record in records] == [str(path) for path in paths]
    expected = [
        f"{record['path']}\t{entry['label']}\t{entry['score']:.4f}"
        for record in records
        for entry in record["labels"]
    ]
    assert sew("classify", audio, "-m", model, "--top", "2").lines == expected
    single = [line.split("\t", 1)[1] for line in expected[2:4]]
    assert sew("classify", paths[1], "-m", model, "--top", "2").lines == single
    assert sew("classify", paths[1], "-m", model).lines == single[:1]
    assert sew("classify", paths[1], "-m", model, "-H").lines == expected[2:3]


@pytest.mark.float32("reference")  # padding tells in the digits that bfloat16 has
def test_scores_do_not_depend_on_the_batch(sew: Sew, classifier: Path, audio: Path) -> None:
    given = ("classify", audio, "-m", classifier, "--top", "4", "-f", "json", "--batch-seconds")
    alone, together = (sew(*given, batch).records for batch in ("0", "60"))
    for one, other in zip(alone, together, strict=True):
        assert [entry["label"] for entry in one["labels"]] == [entry["label"] for entry in other["labels"]]
        scores = [entry["score"] for entry in one["labels"]]
        assert scores == pytest.approx([entry["score"] for entry in other["labels"]], abs=1e-5)


def test_clips_differ(sew: Sew, classifier: Path, audio: Path) -> None:
    records = sew("classify", audio, "-m", classifier, "--top", "4", "-f", "json").records
    assert len({tuple(entry["score"] for entry in record["labels"]) for record in records}) == 3


def test_clip_that_is_too_long_is_a_failed_input(sew: Sew, classifier: Path, tmp_path: Path) -> None:
    long = write_babble(tmp_path / "long.wav", 60.5)
    short = write_babble(tmp_path / "short.wav", 1.0)
    result = sew("classify", long, short, "-m", classifier, "-f", "json")
    assert result.code == 3
    failed, done = result.records
    assert (failed["path"], failed["error"]["code"]) == (str(long), "too_long")
    assert done["path"] == str(short)
    [message] = result.messages
    assert message.startswith(f"sew: {long}: longer than 60 s")
    assert sew("classify", long, "-m", classifier).code == 4


def test_output_directory_gets_one_file_a_clip(
    sew: Sew, classifier: Path, audio: Path, tmp_path: Path
) -> None:
    result = sew("classify", audio, "-m", classifier, "-o", tmp_path)
    assert (result.code, result.out) == (0, b"")
    names = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.txt"))
    assert names == ["a.txt", "b.txt", "sub/c.d.txt"]
    label, score = (tmp_path / "sub" / "c.d.txt").read_text().removesuffix("\n").split("\t")
    assert label in LABELS
    assert 0.25 <= float(score) <= 1


def test_label_with_a_space_is_spelled_as_in_the_model(sew: Sew, audio: Path, tmp_path: Path) -> None:
    labels = ["think engine", "bixby"]
    ids = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    model = tiny_model(tmp_path, "sew", "classification", **ids)
    lines = sew("classify", audio / "b.wav", "-m", model, "--top", "2").lines
    assert {line.split("\t")[0] for line in lines} == set(labels)


@pytest.mark.defaults
def test_weighted_sum_of_layers_gives_the_scores_of_transformers(
    sew: Sew, audio: Path, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path, "sew", "classification", use_weighted_layer_sum=True)
    [record] = sew("classify", audio / "b.wav", "-m", model, "--top", "4", "-f", "json").records
    found = {entry["label"]: entry["score"] for entry in record["labels"]}
    assert found == pytest.approx(transformers_scores(model, audio / "b.wav"), abs=1e-4)


def test_model_of_the_environment_is_used_where_its_task_fits(
    sew: Sew, classifier: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEW_MODEL", str(classifier))
    monkeypatch.setenv("SEW_TOP", "3")
    [record] = sew("classify", audio / "b.wav", "-f", "json").records
    assert record["model"]["id"] == str(classifier)
    assert len(record["labels"]) == 3


@pytest.mark.parametrize("options", ["--top 0", "--decoder beam", "--chunk 5"])
def test_wrong_usage_is_exit_2(sew: Sew, classifier: Path, audio: Path, options: str) -> None:
    result = sew("classify", audio / "b.wav", "-m", classifier, *options.split())
    assert (result.code, result.out) == (2, b"")
    assert options.split(maxsplit=1)[0] in result.err

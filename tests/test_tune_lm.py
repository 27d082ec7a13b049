"""`sew tune-lm`: every combination scored, the best one named, equal to what evaluate says of it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from conftest import Sew
from jsonschema import Draft202012Validator

from sewcli.cli.commands import tune_lm
from sewcli.decoding.options import DecodingOptions
from sewcli.evaluation.rates import Edits
from sewcli.evaluation.tuning import Trial, best_of

pytest.importorskip("pyctcdecode", reason="no release of pyctcdecode for this Python")
pytest.importorskip("kenlm", reason="kenlm is not installed: pip install 'sewcli[lm]'")

EXAMPLES = Path(__file__).parent.parent / "examples" / "speech.jsonl"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the examples."""
    rows = [json.loads(line) for line in EXAMPLES.read_text().splitlines()][1:3]
    file = tmp_path_factory.mktemp("tune") / "dev.jsonl"
    for row in rows:
        row["audio_filepath"] = str(EXAMPLES.parent / row["audio_filepath"])
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_best_of_a_grid_is_what_evaluate_measures(sew: Sew, manifest: Path) -> None:
    lists = ("--alphas", "0.5,5", "--betas", "0 2", "--beam-widths", "20")
    result = sew("tune-lm", manifest, *lists, "-f", "json")
    assert result.code == 0, result.err
    [record] = result.records
    Draft202012Validator(json.loads(sew("schema", "tune-lm").out)).validate(record)
    tried = [(one["alpha"], one["beta"], one["beam_width"]) for one in record["tried"]]
    assert tried == [(0.5, 0.0, 20), (0.5, 2.0, 20), (5.0, 0.0, 20), (5.0, 2.0, 20)]
    best = record["best"]
    assert best["wer"] == min(one["wer"] for one in record["tried"])
    [by_characters] = sew("tune-lm", manifest, *lists, "-f", "json", "--metric", "cer").records
    assert by_characters["metric"] == "cer"
    assert by_characters["best"]["cer"] == min(one["cer"] for one in record["tried"])
    weights = ("--alpha", str(best["alpha"]), "--beta", str(best["beta"]), "--beam-width", "20")
    [measured] = sew("evaluate", manifest, "--lm", "builtin", *weights, "-f", "json").records
    assert measured["wer"] == pytest.approx(best["wer"], abs=1e-6)
    assert measured["cer"] == pytest.approx(best["cer"], abs=1e-6)
    [greedy] = sew("evaluate", manifest, "-f", "json").records
    assert greedy["wer"] == pytest.approx(record["greedy"]["wer"], abs=1e-6)
    assert record["settings"]["lm"] == "builtin"


def test_text_is_a_table_and_a_line_to_copy(sew: Sew, manifest: Path) -> None:
    result = sew("tune-lm", manifest, "--alphas", "0.5", "--betas", "1", "--limit", "1", "--beam-widths", "9")
    assert result.code == 0, result.err
    head, greedy, only, best = result.lines
    assert head.split("\t") == ["alpha", "beta", "beam", "WER %", "CER %"]
    assert greedy.startswith("-\t-\tgreedy\t")
    assert only.startswith("0.5\t1\t9\t")
    assert best == "best: --alpha 0.5 --beta 1 --beam-width 9"
    assert "1 utterances" in result.err


@pytest.mark.parametrize(
    "options", [("--alphas", "x"), ("--betas", ""), ("--alphas", "nan"), ("--beam-widths", "1.5")]
)
def test_lists_that_are_none_are_wrong_usage(sew: Sew, manifest: Path, options: tuple[str, str]) -> None:
    result = sew("tune-lm", manifest, *options)
    assert (result.code, result.out, options[0] in result.err) == (2, b"", True)


def test_weights_worse_than_no_model_and_files_that_are_gone_are_told(sew: Sew, tmp_path: Path) -> None:
    row = json.loads(EXAMPLES.read_text().splitlines()[1])
    row["audio_filepath"] = str(EXAMPLES.parent / row["audio_filepath"])
    rows = [row, {"audio_filepath": "gone.wav", "text": "GO"}]
    manifest = tmp_path / "dev.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = sew("tune-lm", manifest, "--alphas", "-3", "--betas", "9", "--beam-widths", "5")
    assert result.code == 3
    assert f"sew: {manifest}:2: gone.wav: no such file" in result.err
    assert "1 utterances, 3 s, 1 failed" in result.err
    assert "greedy decoding makes no more errors than any of these" in result.err


def test_the_metric_decides_and_the_other_one_among_equals() -> None:
    few_words, few_characters = (
        Trial(
            DecodingOptions(beam_width=9), Edits(9, substitutions=words), Edits(40, substitutions=characters)
        )
        for words, characters in ((1, 5), (2, 3))
    )
    both = [few_characters, few_words]
    assert best_of(both) is few_words
    assert best_of(both, "cer") is few_characters


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        (
            {0.0: 5, 1.0: 4, 2.0: 3},
            ["the best beta, 2, is the greatest that was tried: --betas tries others"],
        ),
        ({0.0: 5, 1.0: 3, 2.0: 4}, []),
        ({0.5: 3, 1.0: 4, 2.0: 5}, ["the best beta, 0.5, is the least that was tried: --betas tries others"]),
        # nothing lies beyond no bonus at all
        ({0.0: 3, 1.0: 4, 2.0: 5}, []),
        ({0.0: 9, 1.0: 8, 2.0: 7}, ["greedy decoding makes no more errors than any of these"]),
    ],
    ids=str,
)
def test_a_best_at_the_end_of_what_was_tried_is_told(
    errors: dict[float, int], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def trial(wrong: int, beta: float = 0.0) -> Trial:
        return Trial(
            DecodingOptions(beta=beta), Edits(9, substitutions=wrong), Edits(40, substitutions=wrong)
        )

    trials = [trial(wrong, beta) for beta, wrong in errors.items()]
    with caplog.at_level(logging.INFO, "sewcli"):
        assert list(tune_lm._and_tell(trial(6), iter(trials), "wer")) == trials
    assert caplog.messages == told

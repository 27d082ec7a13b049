"""What the options and the environment decide, and options that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Sew
from helpers import needs_pyctcdecode

from sewcli import __version__


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-f text -f json", "-o DIR"),
        ("-f nonsense", "'nonsense'"),
        ("--chunk 1 --stride 1", "--chunk 1 --stride 1"),
        ("--chunk 0", "--chunk 0"),
        ("--stride -1", "--stride -1"),
        ("--chunk nan", "--chunk nan"),
        ("--hotword WORD", "--decoder beam"),
        ("--device abacus", "'abacus'"),
        ("--dtype int4", "--dtype"),
        ("--decoder guess", "--decoder"),
        ("--beam-width 0", "--beam-width"),
        ("--batch-seconds -1", "--batch-seconds"),
        ("--threads 0", "--threads"),
        ("--no-such-option", "--no-such-option"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what(
    sew: Sew, ctc: Path, audio: Path, options: str, expected: str
) -> None:
    result = sew("transcribe", audio / "b.wav", "-m", ctc, *options.split())
    assert (result.code, result.out) == (2, b"")
    assert expected in result.err


def test_infinite_chunk_is_wrong_usage(sew: Sew, ctc: Path, audio: Path) -> None:
    assert sew("transcribe", audio / "b.wav", "-m", ctc, "--chunk", "inf").code == 2


@needs_pyctcdecode
def test_options_come_from_the_environment_and_the_command_line_wins(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {
        "SEW_FORMAT": "json",
        "SEW_TIMESTAMPS": "char",
        "SEW_DECODER": "beam",
        "SEW_BEAM_WIDTH": "7",
        "SEW_HOTWORD": "hot",
        "SEW_HOTWORD_WEIGHT": "3.5",
        "SEW_TOKEN_MIN_LOGP": "-6",
        "SEW_BEAM_PRUNE_LOGP": "-12.5",
        "SEW_CHUNK": "2",
        "SEW_STRIDE": "0.4",
        "SEW_STATISTICS": "chunk",
        "SEW_AUDIO_ENGINE": "librosa",
        "SEW_DTYPE": "bfloat16",
        "SEW_DEVICE": "cpu",
        "SEW_ENGINE": "reference",
        "SEW_MODEL": str(ctc),
    }
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    [record] = sew("transcribe", audio / "b.wav").records
    assert record["settings"] == {
        "decoder": "beam",
        "beam_width": 7,
        "hotwords": ["HOT"],
        "hotword_weight": 3.5,
        "token_min_logp": -6.0,
        "beam_prune_logp": -12.5,
        "chunk": 2.0,
        "stride": 0.4,
        "statistics": "chunk",
        "dtype": "bfloat16",
        "engine": "reference",
        "audio_engine": "librosa",
    }
    assert record["model"]["id"] == str(ctc)
    assert "chars" in record
    [record] = sew("transcribe", audio / "b.wav", "--chunk", "3", "--timestamps", "none").records
    assert record["settings"]["chunk"] == 3.0
    assert "words" not in record


def test_model_of_the_environment_counts_where_its_task_fits(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("transcribe", audio / "b.wav", "-f", "json")
    monkeypatch.setenv("SEW_MODEL", "nano-keywords")  # a classification model by its alias
    [record] = sew(*given).records
    assert record["model"] == {"id": "nano", "revision": __version__}
    [record] = sew(*given, "-m", ctc).records
    assert record["model"]["id"] == str(ctc)
    monkeypatch.setenv("SEW_MODEL", "no-such-alias")
    result = sew(*given)
    assert result.code == 5
    assert "no-such-alias" in result.err


def test_model_directory_of_the_environment_for_another_task_is_passed_over(
    sew: Sew, classifier: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEW_MODEL", str(classifier))
    [record] = sew("transcribe", audio / "b.wav", "-f", "json").records
    assert record["model"]["id"] == "nano"


def test_no_cuda_is_exit_6(sew: Sew, ctc: Path, audio: Path) -> None:
    import torch

    count = torch.cuda.device_count()
    names = ["cuda:99"] if count else ["cuda", "cuda:0", "mps"]
    if torch.backends.mps.is_available():
        names = ["cuda"]
    for name in names:
        result = sew("transcribe", audio / "b.wav", "-m", ctc, "--device", name)
        assert (result.code, result.out) == (6, b"")
        [message] = result.messages
        assert name in message
        assert "--device cpu" in message


@pytest.mark.defaults
def test_a_card_that_cannot_compute_is_passed_over_by_auto_and_named_otherwise(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("has a card that computes")
    expected = sew("transcribe", audio / "b.wav", "-m", ctc).out
    # as where the driver lists a card that this build of torch has nothing for
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    passed_over = sew("transcribe", audio / "b.wav", "-m", ctc)
    assert (passed_over.code, passed_over.out) == (0, expected)
    [message] = passed_over.messages
    assert "GPU cannot be used" in message
    named = sew("transcribe", audio / "b.wav", "-m", ctc, "--device", "cuda:0")
    assert (named.code, named.out) == (6, b"")
    assert "cuda:0 cannot be used" in named.err


def test_quiet_says_nothing_but_errors(sew: Sew, ctc: Path, audio: Path) -> None:
    result = sew("transcribe", audio / "b.wav", "missing.wav", "-m", ctc, "-q", "--no-progress")
    assert result.code == 3
    assert len(result.lines) == 1
    [message] = result.messages
    assert "missing.wav" in message


def test_a_misspelt_variable_is_told_once_with_the_nearest(
    sew: Sew, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("transcribe", audio / "b.wav", "--dry-run")
    monkeypatch.setenv("SEW_TOP", "2")  # of classify
    monkeypatch.setenv("SEW_PRUNE", "0")  # of lm build
    assert sew(*given).err == ""
    monkeypatch.setenv("SEW_MODLE", "nano")
    monkeypatch.setenv("SEW_XQZW", "1")
    result = sew(*given)
    assert result.code == 0
    assert result.messages == [
        "sew: SEW_MODLE is no setting of sew (did you mean SEW_MODEL?)",
        "sew: SEW_XQZW is no setting of sew (see sew config show)",
    ]
    assert sew(*given, "-q").err == ""
    assert len(sew("models", "list").messages) == 2

"""What the methods of a model refuse, at once and in words, and how they end with the program."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import needs_pyctcdecode

import sewcli
from sewcli.errors import UsageError

CLIP = Path(__file__).resolve().parent.parent / "examples/speech/go-forward.wav"
SECOND = np.zeros(16_000, np.float32)


@pytest.fixture(scope="module")
def nano() -> sewcli.Model:
    return sewcli.load("nano", device="cpu")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"decode_workers": -1}, "decode_workers=-1: a number from 0 up"),
        ({"decode_workers": "x"}, "decode_workers='x': a whole number"),
        ({"batch_seconds": -1}, "batch_seconds=-1: a number from 0 up"),
        ({"beam_width": 1.5}, "beam_width=1.5: a whole number"),
        ({"beam_width": 0}, "beam_width=0: a number from 1 up"),
        ({"vad": 1}, "vad=1: True or False or ActivityOptions"),
        ({"chunk": "a"}, "chunk='a': a number"),
        ({"start": "0:30"}, "start='0:30': a number"),
        ({"channel": True}, "channel=True: a whole number"),
        ({"hotwords": [1], "decoder": "beam"}, "hotwords=.1.: a list of words"),
        ({"lm": 5}, "lm=5: a string or a path"),
    ],
)
def test_values_of_another_type_or_out_of_range(
    nano: sewcli.Model, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=f"^{told} is needed"):
        nano.transcribe(CLIP, **options)


def test_none_is_what_is_left_out(nano: sewcli.Model) -> None:
    model = sewcli.load("nano", device=None, dtype=None, engine=None, threads=None)
    expected = nano.transcribe(CLIP, decoder="greedy").text
    assert model.transcribe(CLIP, decoder=None, lm=None).text == expected  # type: ignore[typeddict-item]


def test_a_language_model_may_be_a_path(nano: sewcli.Model, tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm is not installed: pip install 'sewcli[lm]'")
    with pytest.raises(UsageError, match=r"gone\.arpa"):
        nano.transcribe(CLIP, lm=tmp_path / "gone.arpa")


def test_a_model_is_of_one_process(nano: sewcli.Model) -> None:
    with pytest.raises(TypeError, match="load it in each"):
        pickle.dumps(nano)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"alpha": 3.0}, "alpha has no effect without lm"),
        ({"beam_width": 10}, "beam_width has no effect without decoder='beam'"),
        ({"decoder": "beam", "beta": 1.0}, "beta has no effect without lm"),
        ({"decoder": "beam", "hotword_weight": 1.0}, "hotword_weight has no effect without hotwords"),
    ],
    ids=str,
)
@needs_pyctcdecode
def test_one_that_does_nothing_without_another_is_refused(
    nano: sewcli.Model, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(sewcli.UsageError, match=told):
        nano.transcribe(CLIP, **given)


def test_others_are_refused_too(nano: sewcli.Model) -> None:
    keywords = sewcli.load("nano-keywords", device="cpu")
    for call, told in (
        (lambda: nano.align(CLIP, "GO", min_confidence=5), "min_confidence=5: a number from 0 to 1"),
        (lambda: nano.align(SECOND, 16_000, "GO"), "text=16000: a string"),  # type: ignore[arg-type]
        (lambda: nano.align(CLIP, CLIP), "text=.*: a string"),  # type: ignore[arg-type]
        (lambda: nano.transcribe(SECOND, 10**400), "a whole number of Hz"),
        (lambda: keywords.spot(CLIP, labels=[]), "would find nothing"),
        (lambda: keywords.classify(CLIP, top=1.5), "top=1.5: a whole number"),  # type: ignore[typeddict-item]
        (lambda: sewcli.load("nano", threads="2"), "threads='2': a whole number"),  # type: ignore[arg-type]
        (lambda: sewcli.decode_many("a.st"), "'a.st' is one input"),
        (lambda: nano.align_many(CLIP), "is one input"),  # type: ignore[arg-type]
        (lambda: nano.transcribe_many(None), "NoneType: no list of inputs"),  # type: ignore[arg-type]
        (lambda: nano.transcribe(CLIP, 8_000), "sample_rate is for arrays"),
        (lambda: nano.transcribe([CLIP, CLIP]), "several files"),  # type: ignore[arg-type]
        (lambda: nano.transcribe(SECOND, "16000"), "sample rate '16000'"),  # type: ignore[arg-type]
        (lambda: nano.transcribe([[1.0, 2.0], [3.0]], 16_000), "list: no audio"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError, match=told):
            call()


def test_none_is_as_if_nothing_were_given(nano: sewcli.Model) -> None:
    expected = nano.transcribe(CLIP)
    options: Any = dict.fromkeys(("start", "end", "channel", "chunk", "stride", "beam_width", "vad", "lm"))
    assert nano.transcribe(CLIP, **options) == expected
    assert nano.transcribe(CLIP, start=np.float32(0), chunk=np.int64(8)).text == expected.text


@pytest.mark.parametrize(
    "words", [{"GO"}, ("GO",), np.array(["GO"]), {"GO": 1}.keys(), (word for word in ["GO"])]
)
def test_words_come_in_any_collection(nano: sewcli.Model, words: Any) -> None:
    pytest.importorskip("pyctcdecode")
    assert nano.transcribe(CLIP, decoder="beam", hotwords=words).hotwords == {"GO": 1}


def test_truth_values_of_numpy_are_some(nano: sewcli.Model) -> None:
    given: Any = {"ignore_punctuation": np.True_}
    assert nano.align(CLIP, "GO!", **given).text == nano.align(CLIP, "GO!", ignore_punctuation=True).text


def test_one_that_cannot_be_used_is_a_failure_among_many(nano: sewcli.Model) -> None:
    learning: Any = (torch.zeros(16_000, requires_grad=True), 16_000)
    first, second, third, fourth = nano.transcribe_many([CLIP, learning, "", CLIP])
    assert isinstance(second, sewcli.Failure)
    assert "requires grad" in second.message
    assert isinstance(third, sewcli.Failure)
    assert "an empty path" in third.message
    assert first == fourth
    pairs: Any = [(CLIP, "GO"), CLIP, (CLIP, 5)]
    good, *bad = nano.align_many(pairs)
    assert not isinstance(good, sewcli.Failure)
    for one in bad:
        assert isinstance(one, sewcli.Failure)
        assert "give (recording, text)" in one.message


@pytest.mark.parametrize("options", ["", ", read_workers=1", ", decode_workers=1, decoder='beam'"])
@pytest.mark.slow
def test_results_nobody_takes_end_with_the_program(options: str) -> None:
    pytest.importorskip("pyctcdecode" if "beam" in options else "numpy")
    code = f"""
import sewcli
results = sewcli.load("nano", device="cpu").transcribe_many([{str(CLIP)!r}] * 20{options})
print(next(results).text)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip().isupper()
    assert done.stderr == ""

"""Text does not depend on how it is computed; beam search, hotwords and the tokens of the vocabulary."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile
from conftest import Sew
from helpers import babble, change_json, check_spans, needs_pyctcdecode, tiny_model, write_babble

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "|")


@pytest.mark.float32("reference")  # padding tells in the digits that bfloat16 has
@pytest.mark.usefixtures("one_thread")
def test_text_does_not_depend_on_batches_threads_or_audio_engine(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    lengths = (1.0, 3.3, 0.06, 6.02, 2.5)
    files = [
        write_babble(tmp_path / f"{i}.wav", seconds, seed=i, rate=44_100, channels=2)
        for i, seconds in enumerate(lengths)
    ]
    given = ("transcribe", *files, "-m", ctc, "-f", "json", "--chunk", "2", "--stride", "0.4")
    plain = sew(*given).texts
    assert all(len(set(text)) > 3 for i, text in enumerate(plain) if lengths[i] >= 1)
    for options in (
        ("--batch-seconds", "0", "--threads", "1"),
        ("--batch-seconds", "5", "--threads", "2"),
        ("--batch-seconds", "100"),
        ("--batch-seconds", "auto"),
        ("--batch-seconds", "5", "--audio-engine", "librosa"),
    ):
        assert sew(*given, *options).texts == plain, options


@pytest.mark.float32("reference")  # padding tells in the digits that bfloat16 has
@pytest.mark.parametrize("family", ["ctc", "ctc_d"])
def test_long_recording_has_the_same_text_in_every_batch_size(
    sew: Sew, tmp_path: Path, family: str, request: pytest.FixtureRequest
) -> None:
    long = write_babble(tmp_path / "long.flac", 60.0)
    given = ("transcribe", long, "-m", request.getfixturevalue(family), "-f", "json", "--batch-seconds")
    results = [sew(*given, batch).records[0] for batch in ("0", "45", "1000")]
    assert len({record["text"] for record in results}) == 1
    words = results[0]["words"]
    check_spans(words, "word", 0, 60.0)
    # no chunk is left out or read twice
    assert len(words) > 60
    assert max(other["start"] - one["end"] for one, other in pairwise(words)) < 3


@needs_pyctcdecode
@pytest.mark.parametrize("family", ["ctc", "ctc_d"])
def test_beam_search_gives_words_in_order(
    sew: Sew, audio: Path, family: str, request: pytest.FixtureRequest
) -> None:
    result = sew(
        "transcribe", audio / "a.wav", audio / "b.wav", "-m", request.getfixturevalue(family),
        "-f", "json", "--decoder", "beam", "--beam-width", "20", "--timestamps", "char",
    )  # fmt: skip
    assert result.code == 0
    for record in result.records:
        assert len(record["text"]) > 5
        assert record["settings"]["decoder"] == "beam"
        assert record["settings"]["beam_width"] == 20
        assert " ".join(word["word"] for word in record["words"]) == record["text"]
        check_spans(record["words"], "word", 0, record["duration"])
        check_spans(record["chars"], "char", 0, record["duration"])


@needs_pyctcdecode
def test_empty_hotword_and_a_weight_that_is_no_number_are_wrong_usage(
    sew: Sew, ctc: Path, audio: Path
) -> None:
    command = ["transcribe", audio / "b.wav", "-m", ctc, "--decoder", "beam", "--hotword"]
    assert "empty" in sew(*command, " ").err
    assert sew(*command, " ").code == 2
    assert sew(*command, "go", "--hotword-weight", "nan").code == 2


@needs_pyctcdecode
@pytest.mark.parametrize("family", ["sew", "sew-d"])
def test_special_tokens_are_never_text_however_likely(
    sew: Sew, audio: Path, tmp_path: Path, family: str
) -> None:
    model = tiny_model(tmp_path, family, "ctc", bias={"<s>": 60.0, "</s>": 50.0, "<unk>": 70.0})
    for decoder in ("greedy", "beam"):
        [record] = sew(
            "transcribe",
            audio / "a.wav",
            "-m",
            model,
            "-f",
            "json",
            "--decoder",
            decoder,
            "--beam-width",
            "9",
        ).records
        assert len(record["text"]) > 5
        assert not any(token in record["text"] for token in SPECIAL)
        assert not any(token in word["word"] for token in SPECIAL for word in record["words"])
        # they take no part in the probabilities either
        assert max(word["confidence"] for word in record["words"]) > 0.1


def test_special_tokens_are_no_text_where_the_tokenizer_leaves_a_role_out(
    sew: Sew, audio: Path, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path, "sew", "ctc", bias={"<s>": 60.0, "</s>": 50.0})
    change_json(model / "tokenizer_config.json", bos_token=None, eos_token=None)
    result = sew("transcribe", audio / "a.wav", "-m", model)
    assert result.code == 0
    assert b"<" not in result.out


@needs_pyctcdecode
def test_beam_search_refuses_a_vocabulary_with_tokens_of_several_letters(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path, "sew", "ctc")
    tokens = json.loads((model / "vocab.json").read_text())
    longer = {{"L": "TH", "R": "ING"}.get(token, token): i for token, i in tokens.items()}
    (model / "vocab.json").write_text(json.dumps(longer))
    result = sew("transcribe", audio / "a.wav", "-m", model, "--decoder", "beam")
    assert result.code == 2
    assert "'ING'" in result.err
    assert sew("transcribe", audio / "a.wav", "-m", model).code == 0


@needs_pyctcdecode
def test_transcript_is_empty_where_every_frame_is_blank_and_that_is_a_success(
    sew: Sew, audio: Path, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path, "sew", "ctc", bias={"<pad>": 100.0})
    for decoder in ("greedy", "beam"):
        result = sew("transcribe", audio / "b.wav", "-m", model, "--decoder", decoder)
        assert (result.code, result.out, result.err) == (0, b"\n", "")
        [record] = sew("transcribe", audio / "b.wav", "-m", model, "-f", "json", "--decoder", decoder).records
        assert (record["text"], record["words"]) == ("", [])


def test_lower_case_vocabulary_gives_lower_case_text(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    upper = sew("transcribe", audio / "a.wav", "-m", ctc).out
    lower = tiny_model(tmp_path, "sew", "ctc")
    tokens = json.loads((lower / "vocab.json").read_text())
    (lower / "vocab.json").write_text(json.dumps({token.lower(): i for token, i in tokens.items()}))
    assert sew("transcribe", audio / "a.wav", "-m", lower).out == upper.lower()


@pytest.mark.parametrize("family", ["ctc", "ctc_d"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_lower_precision_runs(
    sew: Sew, audio: Path, family: str, dtype: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(family)
    engine = ("--engine", "fast") if dtype == "int8" else ()
    result = sew("transcribe", audio / "a.wav", "-m", model, "-f", "json", "--dtype", dtype, *engine)
    assert result.code == 0, result.err
    [record] = result.records
    assert record["settings"]["dtype"] == dtype
    assert len(set(record["text"])) > 5


@pytest.mark.float32
def test_weights_in_half_precision_on_disk_run_in_full_precision(
    sew: Sew, audio: Path, tmp_path: Path
) -> None:
    from transformers import SEWForCTC

    half = tiny_model(tmp_path / "half", "sew", "ctc", dtype="float16")
    assert json.loads((half / "config.json").read_text())["dtype"] == "float16"
    full = tiny_model(tmp_path / "full", "sew", "ctc")
    SEWForCTC.from_pretrained(half, dtype="float32").save_pretrained(full)  # the same rounded weights
    given = ("transcribe", audio / "a.wav", "-f", "json", "--timestamps", "char", "-m")
    [from_half], [from_full] = sew(*given, half).records, sew(*given, full).records
    assert from_half["settings"]["dtype"] == "float32"
    assert from_half["chars"] == from_full["chars"]
    [computed_in_half] = sew(*given, half, "--dtype", "float16").records
    assert computed_in_half["chars"] != from_full["chars"]


@pytest.mark.float32
def test_normalisation_follows_the_preprocessor(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    loud, quiet = tmp_path / "loud.wav", tmp_path / "quiet.wav"
    sound = babble(2.0)
    soundfile.write(loud, sound, 16_000, subtype="FLOAT")
    soundfile.write(quiet, 0.001 * sound, 16_000, subtype="FLOAT")
    same = sew("transcribe", loud, quiet, "-m", ctc, "-h").lines
    assert same[0] == same[1]
    plain = tiny_model(tmp_path / "plain", "sew", "ctc")
    change_json(plain / "preprocessor_config.json", do_normalize=False)
    other = sew("transcribe", loud, quiet, "-m", plain, "-h").lines
    assert other[0] != other[1]
    # as transformers saves a processor since its version 5
    (plain / "preprocessor_config.json").unlink()
    whole = plain / "processor_config.json"
    whole.write_text(json.dumps({"feature_extractor": {"do_normalize": False}}))
    assert sew("transcribe", loud, quiet, "-m", plain, "-h").lines == other
    whole.write_text(json.dumps({"processor_class": "Wav2Vec2Processor"}))
    assert sew("transcribe", loud, quiet, "-m", plain, "-h").lines == same

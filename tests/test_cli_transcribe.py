"""`sew transcribe`: what it writes, where, and that nothing but the options can change the text."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import soundfile
from conftest import Sew
from helpers import babble, change_json, needs_pyctcdecode, reference_text, tiny_model, write_babble

from sewcli import __version__

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "|")
SPAN_KEYS = ["start", "end", "confidence"]


def check_spans(spans: list[dict[str, Any]], key: str, begin: float, end: float) -> None:
    """Spans have the right keys, are in order, do not overlap and lie between two times."""
    assert spans
    for span in spans:
        assert list(span) == [key, *SPAN_KEYS]
        assert begin <= span["start"] < span["end"] <= end
        assert 0 < span["confidence"] <= 1
    assert all(one["end"] <= other["start"] for one, other in pairwise(spans))


@pytest.mark.float32
@pytest.mark.parametrize("family", ["ctc", "ctc_d"])
def test_text_is_that_of_transformers_with_the_same_weights(
    sew: Sew, audio: Path, family: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(family)
    samples, _ = soundfile.read(audio / "a.wav", dtype="float32")
    result = sew("transcribe", audio / "a.wav", "-m", model)
    expected = reference_text(model, samples)
    assert len(set(expected)) > 5
    assert (result.code, result.err) == (0, "")
    assert result.out == expected.encode() + b"\n"


@pytest.mark.defaults
def test_json_has_the_keys_of_the_schema_in_order(sew: Sew, ctc: Path, audio: Path) -> None:
    path = audio / "a.wav"
    result = sew("transcribe", path, "-m", ctc, "-f", "json")
    [record] = result.records
    keys = ["schema_version", "path", "duration", "text", "words", "model", "settings"]
    assert list(record) == keys
    assert record["schema_version"] == 1
    assert record["path"] == str(path)
    assert record["duration"] == 3.0
    assert record["model"] == {"id": str(ctc), "revision": None}
    assert record["settings"] == {
        "decoder": "greedy",
        "chunk": 20.0,
        "stride": 1.0,
        "statistics": "file",
        "dtype": "float32",
        "engine": "fast",
        "audio_engine": "soundfile",
    }
    check_spans(record["words"], "word", 0, 3.0)
    assert " ".join(word["word"] for word in record["words"]) == record["text"]
    assert result.out.count(b"\n") == 1


def test_timestamps_none_leaves_the_words_out_and_char_adds_the_characters(
    sew: Sew, ctc: Path, audio: Path
) -> None:
    given = ("transcribe", audio / "a.wav", "-m", ctc, "-f", "json", "--timestamps")
    [without], [words], [chars] = (sew(*given, kind).records for kind in ("none", "word", "char"))
    assert "words" not in without
    assert "chars" not in without
    assert "chars" not in words
    check_spans(chars["chars"], "char", 0, 3.0)
    assert "".join(char["char"] for char in chars["chars"]) == chars["text"].replace(" ", "")
    assert without["text"] == words["text"] == chars["text"]
    by_word = iter(chars["chars"])
    for word in words["words"]:
        letters = [next(by_word) for _ in word["word"]]
        assert (letters[0]["start"], letters[-1]["end"]) == (word["start"], word["end"])


def test_text_format_takes_timestamps_without_writing_them(sew: Sew, ctc: Path, audio: Path) -> None:
    plain = sew("transcribe", audio / "a.wav", "-m", ctc)
    assert sew("transcribe", audio / "a.wav", "-m", ctc, "--timestamps", "word").out == plain.out


def test_path_is_in_front_for_several_inputs_unless_options_say_otherwise(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    a, b = audio / "a.wav", audio / "b.wav"
    text_a = sew("transcribe", a, "-m", ctc).lines[0]
    text_b = sew("transcribe", b, "-m", ctc).lines[0]
    single = tmp_path / "single"
    write_babble(single / "b.wav", 1.3, seed=2)
    listed = tmp_path / "list.txt"
    listed.write_text(f"{b}\n")
    assert sew("transcribe", a, "-m", ctc, "-H").lines == [f"{a}\t{text_a}"]
    assert sew("transcribe", b, a, "-m", ctc).lines == [f"{b}\t{text_b}", f"{a}\t{text_a}"]
    assert sew("transcribe", b, a, "-m", ctc, "-h").lines == [text_b, text_a]
    assert sew("transcribe", single, "-m", ctc).lines == [f"{single / 'b.wav'}\t{text_b}"]
    assert sew("transcribe", single, "-m", ctc, "-h").lines == [text_b]
    assert sew("transcribe", "--files-from", listed, "-m", ctc).lines == [f"{b}\t{text_b}"]


def test_output_is_in_the_order_of_the_inputs_also_where_batches_mix_them(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{audio / 'b.wav'}\nmissing.wav\n{audio / 'a.wav'}\n")
    names = ("a.wav", "b.wav", "sub/c.d.flac")
    expected = [str(audio / name) for name in ("b.wav", *names)]
    expected += [str(audio / "b.wav"), "missing.wav", str(audio / "a.wav")]
    for batch in ("0", "4", "100"):
        result = sew(
            "transcribe", audio / "b.wav", audio, "--files-from", listed,
            "-m", ctc, "-f", "json", "--batch-seconds", batch, "--chunk", "1", "--stride", "0.2",
        )  # fmt: skip
        assert result.code == 3
        assert [record["path"] for record in result.records] == expected
        assert [len(record.get("text", "")) > 3 for record in result.records] == [True] * 5 + [False, True]


def test_list_on_standard_input_and_with_nul_bytes(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(audio)
    lines = sew("transcribe", "--files-from", "-", "-m", ctc, stdin=b"b.wav\na.wav\n").lines
    assert [line.split("\t")[0] for line in lines] == ["b.wav", "a.wav"]
    assert sew("transcribe", "--files-from", "-", "-0", "-m", ctc, stdin=b"b.wav\0a.wav\0").lines == lines


def test_audio_on_standard_input_gives_the_text_of_the_file(sew: Sew, ctc: Path, audio: Path) -> None:
    path = audio / "sub" / "c.d.flac"
    from_file = sew("transcribe", path, "-m", ctc)
    from_pipe = sew("transcribe", "-", "-m", ctc, stdin=path.read_bytes())
    assert (from_pipe.code, from_pipe.out) == (0, from_file.out)
    [record] = sew("transcribe", "-", "-m", ctc, "-f", "json", stdin=path.read_bytes()).records
    assert (record["path"], record["duration"]) == ("-", 2.2)


def test_manifest_row_with_an_offset_has_the_times_of_the_file(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    part = write_babble(tmp_path / "part.wav", 3.0, seed=1)
    samples, _ = soundfile.read(part, dtype="int16")
    soundfile.write(tmp_path / "cut.wav", samples[16_000:40_000], 16_000)
    rows = [
        {"audio_filepath": "part.wav", "offset": 1.0, "duration": 1.5, "text": "NOT READ"},
        {"audio_filepath": "part.wav", "duration": 3.0},
        {"audio_filepath": "cut.wav"},
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = sew("transcribe", "--files-from", manifest, "-m", ctc, "-f", "json")
    shifted, whole, cut = result.records
    assert [record["path"] for record in result.records] == ["part.wav", "part.wav", "cut.wav"]
    assert list(shifted)[:4] == ["schema_version", "path", "duration", "offset"]
    assert (shifted["offset"], shifted["duration"]) == (1.0, 1.5)
    assert "offset" not in whole
    assert "offset" not in cut
    check_spans(shifted["words"], "word", 1.0, 2.5)
    assert shifted["text"] == cut["text"] != whole["text"]
    for key in ("start", "end"):
        moved = [word[key] + 1 for word in cut["words"]]
        assert [word[key] for word in shifted["words"]] == pytest.approx(moved)

    out = tmp_path / "out"
    assert sew("transcribe", "--files-from", manifest, "-m", ctc, "-o", out).code == 0
    assert sorted(file.name for file in out.iterdir()) == ["cut.txt", "part.txt", "part_1-2.5.txt"]


def test_output_directory_mirrors_the_tree_and_leaves_stdout_empty(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    printed = {record["path"]: record for record in sew("transcribe", audio, "-m", ctc, "-f", "json").records}
    elsewhere = write_babble(tmp_path / "elsewhere" / "e.wav", 1.0)
    result = sew("transcribe", audio, elsewhere, "-m", ctc, "-o", out, "-f", "text", "-f", "json")
    assert (result.code, result.out, result.err) == (0, b"", "")
    written = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    stems = {"a": "a.wav", "b": "b.wav", "sub/c.d": "sub/c.d.flac"}
    assert written == {f"{stem}.{kind}" for stem in [*stems, "e"] for kind in ("txt", "json")}
    for stem, name in stems.items():
        record = printed[str(audio / name)]
        assert json.loads((out / f"{stem}.json").read_text()) == record
        assert (out / f"{stem}.txt").read_text() == record["text"] + "\n"


def test_inputs_that_would_share_an_output_file_are_refused_before_anything_runs(
    sew: Sew, ctc: Path, tmp_path: Path
) -> None:
    write_babble(tmp_path / "in" / "a.wav", 1.0)
    write_babble(tmp_path / "in" / "a.flac", 1.0)
    result = sew("transcribe", tmp_path / "in", "-m", ctc, "-o", tmp_path / "out")
    assert result.code == 2
    [message] = result.messages
    assert "a.wav" in message
    assert "a.flac" in message
    assert not (tmp_path / "out").exists()


def test_existing_output_is_refused_before_anything_runs_and_replaced_on_request(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    (tmp_path / "b.txt").write_text("OLD")
    given = ("transcribe", audio / "a.wav", audio / "b.wav", "-m", ctc, "-o", tmp_path)
    result = sew(*given)
    assert result.code == 2
    assert str(tmp_path / "b.txt") in result.err
    assert (tmp_path / "b.txt").read_text() == "OLD"
    assert not (tmp_path / "a.txt").exists()
    assert sew(*given, "--overwrite").code == 0
    assert (tmp_path / "b.txt").read_text() not in ("OLD", "")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_failed_input_leaves_no_file_in_the_output_directory(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.wav").write_text("this is no audio")
    result = sew("transcribe", tmp_path / "bad.wav", audio / "b.wav", "-m", ctc, "-o", tmp_path / "out")
    assert (result.code, result.out) == (3, b"")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["b.txt"]


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
        ("--dtype int8", "--dtype"),
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
        ("--batch-seconds", "5", "--audio-engine", "librosa"),
    ):
        assert sew(*given, *options).texts == plain, options


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
def test_hotword_is_folded_to_the_vocabulary_and_changes_the_text(sew: Sew, ctc: Path, audio: Path) -> None:
    given = (
        "transcribe",
        audio / "a.wav",
        "-m",
        ctc,
        "-f",
        "json",
        "--decoder",
        "beam",
        "--beam-width",
        "50",
    )
    [plain] = sew(*given).records
    [hot] = sew(*given, "--hotword", "l", "--hotword", "don't stop", "--hotword-weight", "50").records
    assert hot["settings"]["hotwords"] == ["L", "DON'T STOP"]
    assert plain["settings"]["hotwords"] == []
    assert hot["text"].split().count("L") > plain["text"].split().count("L")


@needs_pyctcdecode
@pytest.mark.parametrize("word", ["naïve", "4711", "a|b", "<s>"])
def test_hotword_the_vocabulary_cannot_spell_is_wrong_usage(
    sew: Sew, ctc: Path, audio: Path, word: str
) -> None:
    result = sew("transcribe", audio / "b.wav", "-m", ctc, "--decoder", "beam", "--hotword", word)
    assert (result.code, result.out) == (2, b"")
    [message] = result.messages
    assert repr(word.upper()) in message


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
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs(
    sew: Sew, audio: Path, family: str, dtype: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(family)
    result = sew("transcribe", audio / "a.wav", "-m", model, "-f", "json", "--dtype", dtype)
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


def test_quiet_says_nothing_but_errors(sew: Sew, ctc: Path, audio: Path) -> None:
    result = sew("transcribe", audio / "b.wav", "missing.wav", "-m", ctc, "-q", "--no-progress")
    assert result.code == 3
    assert len(result.lines) == 1
    [message] = result.messages
    assert "missing.wav" in message


def test_name_that_is_not_utf8_is_written_as_it_is_in_text_and_escaped_in_json(
    sew: Sew, ctc: Path, tmp_path: Path
) -> None:
    good = write_babble(tmp_path / "good.wav", 1.0)
    folder = str(tmp_path).encode()
    odd = folder + b"/caf\xe9 \t[bold].wav"
    try:
        Path(odd.decode("utf-8", "surrogateescape")).write_bytes(good.read_bytes())
    except OSError:
        pytest.skip("the file system takes only UTF-8 names")
    good.unlink()
    result = sew("transcribe", tmp_path, "-m", ctc)
    assert result.out.startswith(odd + b"\t")
    result = sew("transcribe", tmp_path, "-m", ctc, "-f", "json")
    assert result.records[0]["path"].encode("utf-8", "surrogateescape") == odd
    missing = (folder + b"/\xe9.wav").decode("utf-8", "surrogateescape")
    result = sew("transcribe", missing, "-m", ctc, "-f", "json")
    assert result.code == 4
    assert result.records[0]["error"]["code"] == "not_found"
    assert missing in result.err

"""`sew transcribe`: what it writes, and in which order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from conftest import Sew
from helpers import check_spans, needs_pyctcdecode, reference_text, write_babble


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
    assert sew("transcribe", b, "-h", a, "-m", ctc, "-H").lines == [f"{b}\t{text_b}", f"{a}\t{text_a}"]
    assert sew("transcribe", b, "-H", a, "-m", ctc, "-h").lines == [text_b, text_a]
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
    assert plain["settings"].keys().isdisjoint(["hotwords", "hotword_weight"])
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

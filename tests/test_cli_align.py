"""`sew align`: known texts with the embedded and with random models, and texts that cannot be aligned."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import write_babble
from praatio import textgrid

import sewcli

EXAMPLES = Path(__file__).parent.parent / "examples"
WIND = EXAMPLES / "speech" / "brisk-wind.opus"
#: my wife works for think engine
TELEPHONE = EXAMPLES / "speech" / "telephone.opus"
TEXT = "a brisk wind had come up and was driving puffy white clouds across the sky"


def manifest(file: Path, *rows: dict[str, object]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_words_are_those_given_in_order_inside_and_scored(sew: Sew) -> None:
    result = sew("align", WIND, "--text", f"  {TEXT}\n", "--min-confidence", 0)
    [record] = result.records
    assert (result.code, result.err) == (0, "")
    assert record["text"] == TEXT == " ".join(word["word"] for word in record["words"])
    assert "".join(char["char"] for char in record["chars"]) == TEXT.upper().replace(" ", "")
    for spans in (record["words"], record["chars"]):
        assert all(one["end"] <= other["start"] for one, other in pairwise(spans))
        assert all(0 <= span["start"] < span["end"] <= record["duration"] for span in spans)
        assert all(0 < span["confidence"] <= 1 for span in spans)
    assert all(word["fits"] for word in record["words"])
    assert record["model"]["id"] == "nano"


def test_the_text_that_greedy_decoding_gives_is_aligned_to_the_same_times(
    sew: Sew, ctc: Path, audio: Path
) -> None:
    [heard] = sew("transcribe", audio / "a.wav", "-m", ctc, "-f", "json", "--timestamps", "char").records
    [aligned] = sew("align", audio / "a.wav", "-m", ctc, "--text", heard["text"]).records
    assert len(heard["words"]) > 3
    assert aligned["chars"] == heard["chars"]
    assert [{**word, "fits": True} for word in heard["words"]] == aligned["words"]


def test_words_that_were_not_said_are_flagged_and_told(sew: Sew) -> None:
    words = ["my", "wife", "bequeath", "for", "think", "engine"]
    [record] = sew("align", TELEPHONE, "--text", " ".join(words), "--min-confidence", 0).records
    confidence = {word["word"]: word["confidence"] for word in record["words"]}
    least, second = sorted(confidence.values())[:2]
    assert confidence["bequeath"] == least
    assert second > 5 * least
    result = sew("align", TELEPHONE, "--text", " ".join(words), "--min-confidence", 2 * least)
    [record] = result.records
    assert result.code == 0
    assert [word["word"] for word in record["words"] if not word["fits"]] == ["bequeath"]
    [message] = result.messages
    assert f"{TELEPHONE}: 1 of 6 words do not fit: 'bequeath' at " in message
    assert sew("align", TELEPHONE, "--text", " ".join(words), "-q").err == ""


def test_a_manifest_gives_the_texts_and_a_bad_row_does_not_stop_the_others(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    rows = manifest(
        tmp_path / "rows.jsonl",
        {"audio_filepath": str(audio / "a.wav"), "text": "GOOD"},
        {"audio_filepath": str(audio / "a.wav"), "text": "room 12?"},
        {"audio_filepath": str(audio / "a.wav"), "text": " "},
        {"audio_filepath": str(audio / "a.wav")},
        {"audio_filepath": str(audio / "b.wav"), "text": "long " * 20},
        {"audio_filepath": str(audio / "a.wav"), "text": "late", "offset": 1.0, "duration": 1.5},
    )
    result = sew("align", "--files-from", rows, "-m", ctc, "--min-confidence", 0)
    first, *bad, last = result.records
    assert result.code == 3
    assert first["words"][0]["word"] == "GOOD"
    assert 1.0 <= last["words"][0]["start"] < last["words"][0]["end"] <= 2.5
    assert [record["error"]["code"] for record in bad] == ["source"] * 3 + ["text_too_long"]
    unspellable, empty, missing, too_long = result.messages
    assert "the vocabulary has no '1' '2' '?'" in unspellable
    assert "the text is empty" in empty
    assert "its row has no text" in missing
    assert "b.wav: its text has 99 characters, more than 1.3 s can hold" in too_long


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.wav",), "no text to align with"),
        (("a.wav", "--text", " \n"), "--text: the text is empty"),
        (("a.wav", "--text", "A", "--text-file", "t.txt"), "exclude each other"),
        (("a.wav", "--text-file", "none.txt"), "none.txt: the text cannot be read"),
        (("a.wav", "--text-file", "empty.txt"), "empty.txt: the text is empty"),
        (("a.wav", "--text-file", "latin.txt"), "latin.txt: the text is not UTF-8"),
        (("-", "--text-file", "-"), "standard input can be read only once"),
        (("a.wav", "b.wav", "--text", "A"), "one text is for one recording"),
        ((".", "--text", "A"), "one text is for one recording"),
        (("a.wav", "--text", "A", "-f", "text"), "format 'text'"),
        (("a.wav", "--text", "50 % off"), "the vocabulary has no '%' '0' '5'"),
    ],
)
def test_texts_that_cannot_be_aligned_are_wrong_usage(
    sew: Sew,
    ctc: Path,
    audio: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    for name in ("a.wav", "b.wav"):
        shutil.copy(audio / name, tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    result = sew("align", *arguments, "-m", ctc)
    assert (result.code, result.out) == (2, b"")
    assert len(result.messages) == 1
    assert message in result.err


def test_a_text_longer_than_its_recording_is_a_failed_input(sew: Sew, ctc: Path, audio: Path) -> None:
    result = sew("align", audio / "b.wav", "-m", ctc, "--text", "AB" * 60)
    assert result.code == 4
    assert result.records[0]["error"]["code"] == "text_too_long"


def test_the_text_comes_from_a_file_or_a_pipe(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")
    read = sew("align", audio / "a.wav", "-m", ctc, "--text-file", file, "-q")
    assert read.texts == ["one two"]
    piped = sew("align", audio / "a.wav", "-m", ctc, "--text-file", "-", "-q", stdin=file.read_bytes())
    assert piped.out == read.out


def test_marks_stay_in_the_words_and_are_not_looked_for(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    given = ("align", audio / "a.wav", "-m", ctc, "-f", "json")
    [plain] = sew(*given, "--text", "A B A C A").records
    marked = "A, b \u2013 a (c-a)!"
    refused = sew(*given, "--text", marked)
    assert refused.code == 2
    for part in ("--text: ", "in 'A,'", "--ignore-punctuation"):
        assert part in refused.err
    [record] = sew(*given, "--text", marked, "--ignore-punctuation").records
    assert [word["word"] for word in record["words"]] == ["A,", "b", "a", "(c-a)!"]
    assert record["text"] == "A, b a (c-a)!"
    assert record["settings"]["ignore_punctuation"] is True
    first, last = record["words"][:3], plain["words"][:3]
    assert [word["start"] for word in first] == [word["start"] for word in last]
    assert [one["char"] for one in record["chars"]] == [one["char"] for one in plain["chars"]]
    known = sewcli.load(ctc, device="cpu").align(audio / "a.wav", marked, ignore_punctuation=True)
    assert [(word.text, word.start) for word in known.words] == [
        (word["word"], word["start"]) for word in record["words"]
    ]
    rows = [{"audio_filepath": str(audio / "a.wav"), "text": text} for text in (marked, "A 5", "\u2013 ...")]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = sew("align", "--files-from", tmp_path / "m.jsonl", "-m", ctc, "-f", "json", "--ignore-punctuation")
    assert done.code == 3
    assert done.records[0]["text"] == record["text"]
    assert ["'5'" in done.messages[-2], "the text is empty" in done.messages[-1]] == [True, True]


def test_every_format_with_times_is_written(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    names = ("json", "verbose_json", "srt", "vtt", "tsv", "csv", "lrc", "ctm", "textgrid", "parquet")
    formats = [argument for name in names for argument in ("-f", name)]
    result = sew("align", audio / "a.wav", "-m", ctc, "--text", "one two", "-q", "-o", tmp_path, *formats)
    assert (result.code, result.out) == (0, b"")
    record = json.loads((tmp_path / "a.json").read_text())
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=False)
    words = [(entry.label, entry.start, entry.end) for entry in grid.getTier("words").entries]
    assert words == [(word["word"], word["start"], word["end"]) for word in record["words"]]
    assert "".join(entry.label for entry in grid.getTier("chars").entries) == "ONETWO"
    assert [line.split()[4] for line in (tmp_path / "a.ctm").read_text().splitlines()] == ["one", "two"]
    assert "one" in (tmp_path / "a.srt").read_text()
    from pyarrow import parquet

    assert parquet.read_table(tmp_path / "a.parquet").to_pylist()[0]["words"] == record["words"]


def test_a_row_whose_text_was_corrected_is_done_again(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out"
    row = {"audio_filepath": str(audio / "a.wav")}
    arguments = ("align", "--files-from", rows, "-m", ctc, "-o", out, "--resume", "-q")
    for text in ("one two", "one too"):
        manifest(rows, {**row, "text": text}, {"audio_filepath": str(audio / "b.wav"), "text": "same"})
        before = (out / "b.json").stat().st_mtime_ns if out.exists() else None
        assert sew(*arguments).code == 0
        assert json.loads((out / "a.json").read_text())["text"] == text
        assert before in (None, (out / "b.json").stat().st_mtime_ns)


def test_clips_joined_with_pauses_are_found_where_they_are(sew: Sew, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (EXAMPLES / "speech.jsonl").read_text().splitlines()]
    pieces, places, words, seconds = [], [], [], 0.0
    for row in rows:
        sound, rate = soundfile.read(EXAMPLES / row["audio_filepath"], dtype="float32")
        pieces += [np.interp(np.arange(0, len(sound), rate / 16_000), np.arange(len(sound)), sound)]
        pieces += [np.zeros(16_000)]
        length = len(pieces[-2]) / 16_000
        places += [(seconds, seconds + length)] * len(row["text"].split())
        words += row["text"].split()
        seconds += length + 1.0
    soundfile.write(tmp_path / "all.wav", np.concatenate(pieces), 16_000)
    [record] = sew("align", tmp_path / "all.wav", "--text", " ".join(words), "-q").records
    inside = [
        begin - 0.1 <= word["start"] and word["end"] <= end + 0.1
        for word, (begin, end) in zip(record["words"], places, strict=True)
    ]
    assert sum(inside) >= 0.9 * len(inside)


def test_each_channel_gets_the_same_text(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    stereo = write_babble(tmp_path / "s.wav", 2.0, channels=2)
    result = sew("align", stereo, "-m", ctc, "--text", "both", "--channel", "split", "-q")
    assert [(record["channel"], record["text"]) for record in result.records] == [(0, "both"), (1, "both")]

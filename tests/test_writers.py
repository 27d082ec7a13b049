"""Every output format: golden files, and what other programs read from them.

After a change that is meant, `python tests/test_writers.py` writes the golden files again.
"""

from __future__ import annotations

import csv
import html
import io
import itertools
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import jiwer
import pysubs2
import pytest
import webvtt
from praatio import textgrid

from sewcli.results import Failure, ModelInfo, Span, Transcript
from sewcli.writers import FORMATS, Layout
from sewcli.writers.cues import Shape

GOLDEN = Path(__file__).parent / "golden"
TEXT = 'HE SAID <I> DON\'T KNOW & "LEFT" THEN NAÏVE ZOË CAME BACK AFTER A VERY LONG PAUSE'
WORDS = TEXT.split()


def spans(texts: list[str], offset: float) -> tuple[Span, ...]:
    """Words of 0.3 s, 0.1 s apart, with a pause of 2.5 s behind the eighth."""
    begins = [offset + 0.24 + 0.4 * i + 2.5 * (i >= 8) for i in range(len(texts))]
    return tuple(
        Span(text, round(begin, 3), round(begin + 0.3, 3), round(0.99 - 0.03 * i, 4))
        for i, (text, begin) in enumerate(zip(texts, begins, strict=True))
    )


LONG = Transcript(
    path="calls/my talk.wav",
    duration=10.5,
    text=TEXT,
    model=ModelInfo("nano", "1.0", "en"),
    words=spans(WORDS, 3600.0),
    chars=spans(list("HE"), 3600.0),
    settings={"decoder": "greedy"},
    offset=3600.0,
    channel=1,
)
WHOLE = replace(LONG, path="b.flac", offset=None, channel=None, chars=None, words=spans(WORDS, 0.0))
EMPTY = replace(WHOLE, path="silence.wav", text="", words=())
FAILED = Failure("gone.wav", "not_found", "gone.wav: no such file")
TEXT_FORMATS = [name for name in FORMATS if name != "parquet"]
LAYOUT = Layout(shape=Shape(max_chars=24))


def written(name: str, *results: Transcript | Failure, layout: Layout = LAYOUT) -> bytes:
    form = FORMATS[name]
    header = b"" if form.header is None else form.header(layout)
    return header + b"".join(form.write(result, layout) for result in results)


def golden(name: str) -> dict[str, bytes]:
    """Golden files of a format: a part of a file, and several inputs where they can follow each other."""
    form = FORMATS[name]
    files = {f"part{form.extension}": written(name, LONG)}
    if form.joins:
        several = replace(LAYOUT, with_path=True)
        files[f"several{form.extension}"] = written(name, WHOLE, FAILED, EMPTY, LONG, layout=several)
    else:
        files[f"empty{form.extension}"] = written(name, EMPTY)
    return files


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_output_is_that_of_the_golden_file(name: str) -> None:
    for file, content in golden(name).items():
        assert content.decode() == (GOLDEN / file).read_bytes().decode(), file


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_a_failure_is_told_in_json_alone(name: str) -> None:
    out = FORMATS[name].write(FAILED, LAYOUT)
    if "json" in name:
        assert json.loads(out)["error"]["code"] == "not_found"
    else:
        assert out == b""


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_subtitles_are_read_by_pysubs2(name: str) -> None:
    read = pysubs2.SSAFile.from_string(written(name, WHOLE).decode(), format_=name)
    text = " ".join(event.plaintext for event in read)
    # pysubs2 leaves the escapes of WebVTT to its user and, as players do, takes <I> for a tag
    text = html.unescape(text) if name == "vtt" else text.replace("SAID ", "SAID <I>")
    assert text.split() == WORDS
    times = [(event.start, event.end) for event in read]
    assert times[0][0] == 240
    assert times == sorted(times)
    assert pysubs2.SSAFile.from_string(written(name, EMPTY).decode(), format_=name).events == []


def test_webvtt_is_read_by_webvtt_py_with_its_escapes() -> None:
    captions = webvtt.from_buffer(io.StringIO(written("vtt", LONG).decode()))
    assert captions[0].start == "01:00:00.240"
    text = " ".join(caption.text.replace("\n", " ") for caption in captions)
    assert html.unescape(text) == LONG.text


@pytest.mark.parametrize("result", [WHOLE, LONG, EMPTY])
def test_textgrid_is_read_by_praatio(result: Transcript, tmp_path: Path) -> None:
    file = tmp_path / "a.TextGrid"
    file.write_bytes(written("textgrid", result))
    grid = textgrid.openTextgrid(str(file), includeEmptyIntervals=False)
    assert grid.tierNames == (("words", "chars") if result.chars else ("words",))
    assert grid.maxTimestamp == pytest.approx((result.offset or 0) + result.duration)
    assert result.words is not None
    entries = [tuple(entry) for entry in grid.getTier("words").entries]
    assert entries == [(word.start, word.end, word.text) for word in result.words]


def test_textgrid_intervals_leave_no_gap_and_no_empty_time(tmp_path: Path) -> None:
    file = tmp_path / "a.TextGrid"
    touching = (Span("A", 0.0, 0.5, 1.0), Span("B", 0.5, 10.5, 1.0))
    for result in (WHOLE, replace(WHOLE, words=touching), EMPTY):
        file.write_bytes(written("textgrid", result))
        grid = textgrid.openTextgrid(str(file), includeEmptyIntervals=True)
        entries = grid.getTier("words").entries
        assert entries[0].start == 0
        assert entries[-1].end == 10.5
        assert all(one.end == other.start for one, other in itertools.pairwise(entries))
        assert all(entry.start < entry.end for entry in entries)


def test_ctm_has_the_words_that_were_said_and_the_times_of_the_file() -> None:
    rows = [line.split() for line in written("ctm", LONG).decode().splitlines()]
    assert {(row[0], row[1]) for row in rows} == {("my_talk", "2")}
    assert jiwer.wer(LONG.text, " ".join(row[4] for row in rows)) == 0
    assert LONG.words is not None
    for row, word in zip(rows, LONG.words, strict=True):
        start, seconds, confidence = float(row[2]), float(row[3]), float(row[5])
        assert (start, confidence) == (word.start, word.confidence)
        assert start + seconds == pytest.approx(word.end)


def test_stm_and_trn_have_the_transcript_and_who_it_is_of() -> None:
    stm = written("stm", WHOLE, EMPTY, LONG).decode().splitlines()
    assert [line.split(" ")[:5] for line in stm] == [
        ["b", "1", "b", "0.000", "10.500"],
        ["silence", "1", "silence", "0.000", "10.500"],
        ["my_talk", "2", "my_talk", "3600.000", "3610.500"],
    ]
    trn = [
        re.fullmatch(r"(.*?) ?\((\S+)\)", line)
        for line in written("trn", WHOLE, EMPTY, LONG).decode().splitlines()
    ]
    assert [match and match.groups() for match in trn] == [
        (WHOLE.text, "b"),
        ("", "silence"),
        (LONG.text, "my_talk_3600-3610.5_ch1"),
    ]


def test_csv_quotes_a_carriage_return() -> None:
    content = written("csv", replace(WHOLE, path="a\rb.wav"))
    assert b'"a\rb.wav"' in content
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert {row["path"] for row in rows} == {"a\rb.wav"}


def test_csv_survives_any_name_and_text() -> None:
    odd = replace(WHOLE, path='a,"b"\nc\udcff.wav')
    content = written("csv", odd, LONG)
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline="")))
    assert " ".join(row["text"] for row in rows if row["path"] == odd.path) == WHOLE.text
    assert {row["channel"] for row in rows if row["path"] == LONG.path} == {"1"}
    assert b"c\xff.wav" in content


def test_tsv_has_the_columns_of_whisper_and_the_path_only_where_asked() -> None:
    rows = [line.split("\t") for line in written("tsv", WHOLE).decode().splitlines()]
    assert rows[0] == ["start", "end", "text"]
    assert rows[1][0] == "240"
    odd = replace(WHOLE, path="a\tb\xe9\udcff.wav")
    lines = written("tsv", odd, layout=Layout(with_path=True)).splitlines()
    assert lines[1].startswith(b'"a\tb\xc3\xa9\xff.wav"\t240\t')


def test_verbose_json_has_the_keys_of_the_openai_api() -> None:
    content = json.loads(written("verbose_json", LONG))
    assert list(content) == ["task", "language", "duration", "text", "segments", "words"]
    assert (content["task"], content["language"], content["text"]) == ("transcribe", "english", LONG.text)
    assert [list(segment) for segment in content["segments"]] == [
        [
            "id",
            "seek",
            "start",
            "end",
            "text",
            "tokens",
            "temperature",
            "avg_logprob",
            "compression_ratio",
            "no_speech_prob",
        ]
    ] * len(content["segments"])
    assert " ".join(segment["text"] for segment in content["segments"]) == LONG.text
    assert all(-1 < segment["avg_logprob"] < 0 for segment in content["segments"])
    assert [list(word) for word in content["words"]] == [["word", "start", "end"]] * len(WORDS)
    unknown = replace(LONG, model=ModelInfo("x"))
    assert json.loads(written("verbose_json", unknown))["language"] == "unknown"


def test_parquet_is_read_by_pyarrow_with_the_columns_of_json() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for result in (LONG, EMPTY, replace(LONG, path=os.fsdecode(b"\xff.wav"))):
        [row] = parquet.read_table(io.BytesIO(written("parquet", result))).to_pylist()
        expected = json.loads(written("json", result))
        assert json.loads(row.pop("settings")) == expected.pop("settings")
        row.pop("path"), expected.pop("path")
        assert row == expected


def test_a_format_that_needs_times_says_so_where_there_are_none() -> None:
    with pytest.raises(ValueError, match="times of words"):
        written("srt", replace(WHOLE, words=None))


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in TEXT_FORMATS:
        for file, content in golden(each).items():
            (GOLDEN / file).write_bytes(content)

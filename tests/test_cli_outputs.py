"""Formats, parts of inputs and standard output, through the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import soundfile
from conftest import Sew
from helpers import babble, files_in, write_babble

from sewcli.cli.options.files import Formats
from sewcli.writers import FORMATS


def test_help_names_every_format() -> None:
    named = re.findall(r"\w+", Formats.__metadata__[0].help)  # type: ignore[attr-defined]
    assert set(FORMATS) <= set(named)


def test_every_format_at_once_in_a_directory(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    every = [argument for name in FORMATS for argument in ("-f", name)]
    result = sew("transcribe", audio / "a.wav", "-m", ctc, "-o", tmp_path, *every)
    assert (result.code, result.out, result.err) == (0, b"", "")
    extensions = [
        "txt",
        "json",
        "verbose.json",
        "srt",
        "vtt",
        "tsv",
        "csv",
        "lrc",
        "ctm",
        "stm",
        "trn",
        "TextGrid",
        "parquet",
    ]
    assert files_in(tmp_path) == sorted(f"a.{extension}" for extension in extensions)
    assert all((tmp_path / name).stat().st_size for name in files_in(tmp_path))
    text = (tmp_path / "a.txt").read_text().strip()
    assert json.loads((tmp_path / "a.verbose.json").read_text())["text"] == text
    assert (tmp_path / "a.trn").read_text() == f"{text} (a)\n"
    words = [line.split()[4] for line in (tmp_path / "a.ctm").read_text().splitlines()]
    assert " ".join(words) == text


def test_standard_output_takes_formats_that_join_and_refuses_the_others_for_several_inputs(
    sew: Sew, ctc: Path, audio: Path
) -> None:
    for name, form in FORMATS.items():
        one = sew("transcribe", audio / "b.wav", "-m", ctc, "-f", name)
        assert (one.code, one.err) == (0, ""), name
        several = sew("transcribe", audio / "b.wav", audio / "a.wav", "-m", ctc, "-f", name)
        assert several.code == (0 if form.joins else 2), name
        if not form.joins:
            assert "-o DIR" in several.err
    csv = sew("transcribe", audio, "-m", ctc, "-f", "csv").lines
    assert sum(line.startswith("path,") for line in csv) == 1
    tsv = sew("transcribe", audio / "missing.wav", "-m", ctc, "-f", "tsv")
    assert (tsv.code, tsv.lines) == (4, ["start\tend\ttext"])


@pytest.fixture
def alike(tmp_path: Path) -> list[Path]:
    """Four recordings in two folders, the first and the third of one name in a format of SCTK."""
    places = [tmp_path / place for place in ("one/a b.wav", "one/c.wav", "two/a_b.wav", "two/d.wav")]
    for place in places:
        place.parent.mkdir(exist_ok=True)
        write_babble(place, 1.0)
    return places


@pytest.mark.parametrize("name", ["ctm", "stm", "trn"])
def test_formats_that_know_files_by_name_have_each_name_once(
    sew: Sew, ctc: Path, alike: list[Path], tmp_path: Path, name: str
) -> None:
    told = f"sew: {alike[2]}: -f {name} names it a_b, as it does {alike[0]}"
    given = ("transcribe", tmp_path / "one", tmp_path / "two", "-m", ctc, "-f", name)
    result = sew(*given)
    assert (result.code, result.err.count("\n")) == (3, 1)
    assert told in result.err
    last = [line.split()[0] if name != "trn" else line.split("(")[-1].rstrip(")") for line in result.lines]
    assert list(dict.fromkeys(last)) == ["a_b", "c", "d"]
    dry = sew(*given, "--dry-run")
    assert (dry.code, told in dry.err, len(dry.lines)) == (3, True, 4)
    apart = sew(*given, "-o", tmp_path / "out")
    assert (apart.code, apart.err, len(files_in(tmp_path / "out"))) == (0, "", 4)

    logits = tmp_path / "logits"
    assert sew("transcribe", tmp_path / "one", tmp_path / "two", "-m", ctc, "--save-logits", logits).code == 0
    decoded = sew("decode", logits, "-f", name)
    assert (decoded.code, decoded.out) == (result.code, result.out)
    assert told in decoded.err
    dry = sew("decode", logits, "-f", name, "--dry-run")
    assert (dry.code, told in dry.err, len(dry.lines)) == (3, True, 4)
    assert sew("decode", logits, "--dry-run").lines[-1] == "total: 4 inputs, 0.001 hours"


def test_a_name_is_taken_by_what_is_written(sew: Sew, ctc: Path, alike: list[Path], tmp_path: Path) -> None:
    gone = tmp_path / "gone" / alike[1].name
    result = sew("transcribe", gone, alike[1], "-m", ctc, "-f", "trn")
    assert (result.code, len(result.lines)) == (3, 1)
    again = sew("transcribe", alike[1], alike[1], "-m", ctc, "-f", "trn")
    assert (again.code, len(again.lines)) == (3, 1)
    assert "names it c, a second time" in again.err


def test_parts_and_channels_of_a_file_share_its_name(
    sew: Sew, ctc: Path, alike: list[Path], tmp_path: Path
) -> None:
    rows = [{"audio_filepath": str(alike[1]), "offset": offset, "duration": 0.5} for offset in (0, 0.5, 0.5)]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = sew("transcribe", "--files-from", manifest, "-m", ctc, "-f", "stm")
    assert (result.code, [line.split()[0] for line in result.lines]) == (3, ["c", "c"])
    assert "names it c_0.5-1, a second time" in result.err
    split = sew("transcribe", alike[1], "--channel", "split", "-m", ctc, "-f", "stm")
    assert (split.code, split.err) == (0, "")


def test_formats_that_need_times_refuse_to_go_without(sew: Sew, ctc: Path, audio: Path) -> None:
    given = ("transcribe", audio / "b.wav", "-m", ctc, "--timestamps", "none", "-f")
    result = sew(*given, "srt")
    assert result.code == 2
    assert "'srt' needs the times" in result.err
    assert sew(*given, "trn").code == sew(*given, "json").code == 0


def test_cues_keep_to_the_limits_of_the_options(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    long = write_babble(tmp_path / "long.wav", 12.0)
    given = ("transcribe", long, "-m", ctc, "-f", "srt", "--max-gap", "60")
    result = sew(*given, "--max-chars", "20", "--max-lines", "3", "--max-duration", "2.5")
    blocks = [block.split("\n") for block in result.out.decode().strip().split("\n\n")]
    assert len(blocks) > 3
    for _, times, *lines in blocks:
        assert len(lines) <= 3
        assert all(len(line) <= 20 or " " not in line for line in lines)
        begin, end = (float(time[-6:].replace(",", ".")) for time in times.split(" --> "))
        assert 0 < end - begin < 2.5001
    said = " ".join(line for _, _, *lines in blocks for line in lines)
    assert said == sew("transcribe", long, "-m", ctc).lines[0]
    assert sew(*given, "--max-duration", "nan").code == 2
    assert sew(*given, "--max-chars", "0").code == 2


def test_classify_has_text_and_json_alone(sew: Sew, classifier: Path, audio: Path) -> None:
    result = sew("classify", audio / "b.wav", "-m", classifier, "-f", "srt")
    assert result.code == 2
    assert "one of text, json" in result.err


def test_a_window_gives_the_text_of_the_cut_and_the_times_of_the_file(
    sew: Sew, ctc: Path, tmp_path: Path
) -> None:
    sound = babble(4.0)
    soundfile.write(tmp_path / "whole.wav", sound, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "cut.wav", sound[16_000:48_000], 16_000, subtype="FLOAT")
    given = ("-m", ctc, "-f", "json")
    [part] = sew("transcribe", tmp_path / "whole.wav", *given, "--start", "1", "--end", "0:03").records
    [cut] = sew("transcribe", tmp_path / "cut.wav", *given).records
    assert part["text"] == cut["text"] != ""
    assert (part["offset"], part["duration"]) == (1.0, 2.0)
    moved = [(round(word["start"] + 1, 3), round(word["end"] + 1, 3)) for word in cut["words"]]
    assert [(word["start"], word["end"]) for word in part["words"]] == moved
    late = sew("transcribe", tmp_path / "whole.wav", *given, "--start", "5")
    assert late.code == 4
    assert "ends at 4.000 s" in late.err
    assert sew("transcribe", tmp_path / "whole.wav", *given, "--start", "2", "--end", "1").code == 2
    out = tmp_path / "out"
    assert sew("transcribe", tmp_path / "whole.wav", "-m", ctc, "-o", out, "--start", "1.5").code == 0
    assert files_in(out) == ["whole_1.5-end.txt"]


def test_channels_are_mixed_chosen_or_split(sew: Sew, ctc: Path, classifier: Path, tmp_path: Path) -> None:
    both = write_babble(tmp_path / "both.wav", 2.0, seed=1, channels=2)
    mono = [write_babble(tmp_path / f"{seed}.wav", 2.0, seed=seed) for seed in (1, 2)]
    given = ("-m", ctc, "-f", "json")
    left, right = sew("transcribe", *mono, *given).texts
    split = sew("transcribe", both, *given, "--channel", "split").records
    assert [(record["channel"], record["text"]) for record in split] == [(0, left), (1, right)]
    assert left != right
    [second] = sew("transcribe", both, *given, "--channel", "1").records
    assert second == split[1]
    [mix] = sew("transcribe", both, *given).records
    assert "channel" not in mix
    assert mix["text"] not in (left, right)
    assert sew("transcribe", both, "-m", ctc, "--channel", "split").lines == [
        f"{both}\t0\t{left}",
        f"{both}\t1\t{right}",
    ]
    assert sew("transcribe", both, "-m", ctc, "--channel", "split", "-h").lines == [
        f"0\t{left}",
        f"1\t{right}",
    ]
    assert sew("transcribe", both, "-m", ctc, "--channel", "1", "-H").lines == [f"{both}\t{right}"]
    header, *cues = sew("transcribe", both, "-m", ctc, "--channel", "split", "-f", "tsv").lines
    assert header == "path\tchannel\tstart\tend\ttext"
    assert list(dict.fromkeys(tuple(cue.split("\t")[:2]) for cue in cues)) == [
        (str(both), "0"),
        (str(both), "1"),
    ]
    header, *_ = sew("transcribe", both, "-m", ctc, "--channel", "split", "-f", "tsv", "-h").lines
    assert header == "channel\tstart\tend\ttext"
    out = tmp_path / "out"
    assert sew("transcribe", both, "-m", ctc, "-o", out, "--channel", "split").code == 0
    assert files_in(out) == ["both_ch0.txt", "both_ch1.txt"]
    assert (out / "both_ch0.txt").read_text() == f"{left}\n"
    piped = sew("transcribe", "-", *given, "--channel", "split", stdin=both.read_bytes())
    assert piped.texts == [left, right]
    piped = sew("transcribe", "-", "-m", ctc, "-o", out, "--channel", "split", stdin=both.read_bytes())
    assert (piped.code, (out / "stdin_ch1.txt").read_text()) == (0, f"{right}\n")
    absent = sew("transcribe", both, mono[0], *given, "--channel", "2")
    assert absent.code == 4
    assert absent.records[0] == {"path": str(both), "channel": 2, "error": absent.records[0]["error"]}
    assert sew("transcribe", both, *given, "--channel", "left").code == 2
    given = ("classify", both, "-m", classifier, "--channel", "split")
    labels = sew(*given, "-f", "json").records
    assert [record["channel"] for record in labels] == [0, 1]
    assert [line.split("\t")[:3] for line in sew(*given).lines] == [
        [str(both), str(number), record["labels"][0]["label"]] for number, record in enumerate(labels)
    ]


def test_text_of_kept_logits_names_the_channel_where_there_are_several(
    sew: Sew, ctc: Path, tmp_path: Path
) -> None:
    both = write_babble(tmp_path / "both.wav", 2.0, seed=1, channels=2)
    kept = tmp_path / "kept"
    split = sew("transcribe", both, "-m", ctc, "--channel", "split", "--save-logits", kept).lines
    assert sew("decode", kept).lines == split
    text = split[1].split("\t")[2]
    assert sew("decode", kept / "both_ch1.logits.safetensors", "-H").lines == [f"{both}\t{text}"]


def test_globs_choose_in_folders(sew: Sew, ctc: Path, audio: Path) -> None:
    given = ("transcribe", audio, "-m", ctc, "-f", "json")
    paths = [record["path"] for record in sew(*given, "--include", "*.wav", "--exclude", "b*").records]
    assert paths == [str(audio / "a.wav")]
    nothing = sew(*given, "--exclude", "*")
    assert nothing.code == 2
    assert "--include and --exclude" in nothing.err


def test_bad_rows_of_a_manifest_take_no_file_and_the_others_are_written(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "b.jsonl"  # its bad rows are named like the good one
    good = json.dumps({"audio_filepath": str(audio / "b.wav"), "text": "A"})
    manifest.write_text(f'{good}\n{{oops\n{{"audio_filepath": 3}}\n')
    logits = tmp_path / "logits"
    given = ("--files-from", manifest, "-m", ctc, "-f", "json")
    result = sew("transcribe", *given, "-o", tmp_path / "out", "--save-logits", logits, "--resume")
    assert result.code == 3
    assert ["b.jsonl:2" in result.messages[0], "b.jsonl:3" in result.messages[1]] == [True, True]
    assert [file.name for file in (tmp_path / "out").glob("*.json")] == ["b.json"]
    assert len(list(logits.iterdir())) == 1
    assert sew("align", *given, "-o", tmp_path / "aligned").code == 3
    assert [file.name for file in (tmp_path / "aligned").iterdir()] == ["b.json"]
    listed = sew("transcribe", *given, "-o", tmp_path / "other", "--dry-run")
    assert listed.code == 3
    assert listed.lines[-1].startswith("total: 1 input")

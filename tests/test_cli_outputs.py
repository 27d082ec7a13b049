"""Formats, output directories and parts of inputs, through the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
from conftest import Sew
from helpers import babble, write_babble

from sewcli.cli.file_options import Formats
from sewcli.writers import FORMATS


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


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
        f"{both}\t{left}",
        f"{both}\t{right}",
    ]
    out = tmp_path / "out"
    assert sew("transcribe", both, "-m", ctc, "-o", out, "--channel", "split").code == 0
    assert files_in(out) == ["both_ch0.txt", "both_ch1.txt"]
    piped = sew("transcribe", "-", *given, "--channel", "split", stdin=both.read_bytes())
    assert piped.texts == [left, right]
    piped = sew("transcribe", "-", "-m", ctc, "-o", out, "--channel", "split", stdin=both.read_bytes())
    assert (piped.code, (out / "stdin_ch1.txt").read_text()) == (0, f"{right}\n")
    absent = sew("transcribe", both, mono[0], *given, "--channel", "2")
    assert absent.code == 4
    assert absent.records[0] == {"path": str(both), "channel": 2, "error": absent.records[0]["error"]}
    assert sew("transcribe", both, *given, "--channel", "left").code == 2
    labels = sew("classify", both, "-m", classifier, "-f", "json", "--channel", "split").records
    assert [record["channel"] for record in labels] == [0, 1]


def test_globs_choose_in_folders(sew: Sew, ctc: Path, audio: Path) -> None:
    given = ("transcribe", audio, "-m", ctc, "-f", "json")
    paths = [record["path"] for record in sew(*given, "--include", "*.wav", "--exclude", "b*").records]
    assert paths == [str(audio / "a.wav")]
    nothing = sew(*given, "--exclude", "*")
    assert nothing.code == 2
    assert "--include and --exclude" in nothing.err


def test_template_names_the_files(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    given = ("transcribe", audio, "-m", ctc, "-f", "text", "-f", "json", "-o", tmp_path, "--output-template")
    assert sew(*given, "{format}/{index:02d}_{name}.{ext}").code == 0
    names = ["01_a.wav", "02_b.wav", "03_c.d.flac"]
    expected = [f"{kind}/{name}.{end}" for kind, end in (("json", "json"), ("text", "txt")) for name in names]
    assert files_in(tmp_path) == expected
    for template, word in [
        ("{stem}", "two results of"),
        ("x.{ext}", "both be written"),
        ("{no}.{ext}", "no field {no}"),
        ("{stem", "expected '}'"),
        ("{stem:{no}}.{ext}", "cannot be filled in"),
        ("{index:x/d}.{ext}", "cannot be filled in"),
        ("../{stem}.{ext}", "no file below"),
        ("/{stem}.{ext}", "no file below"),
        ("{dir}", "no file below"),
        ("{dir}/.sew-{stem}.{ext}", "begin with .sew-"),
    ]:
        result = sew(*given, template)
        assert result.code == 2, template
        assert word in result.err
    assert files_in(tmp_path) == expected
    assert "-o DIR" in sew("transcribe", audio, "-m", ctc, "--output-template", "{stem}").err


def test_outputs_that_would_be_an_input_or_a_folder_are_refused(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd.txt"
    odd.write_bytes((audio / "b.wav").read_bytes())
    result = sew("transcribe", odd, "-m", ctc, "-o", tmp_path, "--overwrite")
    assert result.code == 2
    assert "is an input" in result.err
    assert odd.read_bytes() == (audio / "b.wav").read_bytes()
    (tmp_path / "b.txt").mkdir()
    result = sew("transcribe", audio / "b.wav", "-m", ctc, "-o", tmp_path, "--overwrite")
    assert result.code == 2
    assert "is a directory" in result.err
    tree = tmp_path / "tree"
    write_babble(tree / "x.wav", 0.5)
    write_babble(tree / "x.txt" / "y.wav", 0.5)
    result = sew("transcribe", tree, "-m", ctc, "-o", tmp_path / "out")
    assert result.code == 2
    assert "a folder for" in result.err
    assert not (tmp_path / "out").exists()


def test_an_output_whose_name_is_too_long_fails_that_input_alone(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    long = write_babble(tmp_path / ("x" * 245 + ".wav"), 0.5)
    result = sew("transcribe", long, audio / "b.wav", "-m", ctc, "-f", "verbose_json", "-o", tmp_path / "out")
    assert result.code == 3
    assert "File name too long" in result.err
    assert files_in(tmp_path / "out") == ["b.verbose.json"]


@pytest.mark.skipif(os.name != "posix", reason="needs names that POSIX allows")
def test_names_with_blanks_line_breaks_dashes_and_bytes(
    sew: Sew, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    odd = ["-f.wav", "a b.wav", "line\nbreak.wav", "tab\t.wav", "caf\udce9.wav", "{stem}.wav", "%s.wav"]
    for name in odd:
        write_babble(tmp_path / "plain.wav", 0.5).rename(folder / name)
    out = tmp_path / "out"
    result = sew(
        "transcribe", folder, "-m", ctc, "-o", out, "-f", "csv", "-f", "ctm", "-f", "json", "--resume"
    )
    assert (result.code, result.err) == (0, "")
    made = [name for name in files_in(out) if not name.startswith(".sew-")]
    stems = [name.removesuffix(".wav") for name in odd]
    assert made == sorted(f"{stem}.{end}" for stem in stems for end in ("csv", "ctm", "json"))
    again = sew(
        "transcribe", folder, "-m", ctc, "-o", out, "-f", "csv", "-f", "ctm", "-f", "json", "--resume"
    )
    assert again.err == f"sew: {len(odd)} of {len(odd)} inputs were done before\n"
    monkeypatch.chdir(folder)
    assert sew("transcribe", "-m", ctc, "--", "-f.wav").code == 0
    listed = sew("transcribe", "--dry-run", folder, "-0").out
    assert b"caf\xe9.wav\t0.500\n" in listed


def test_dry_run_lists_inputs_hours_and_files_and_touches_nothing(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = sew(
        "transcribe", audio, "-m", "no-such-model", "--dry-run", "-o", out, "-f", "srt", "-f", "json"
    )
    assert (result.code, result.err) == (0, "")
    assert result.lines == [
        f"{audio / 'a.wav'}\t3.000\t{out / 'a.srt'}\t{out / 'a.json'}",
        f"{audio / 'b.wav'}\t1.300\t{out / 'b.srt'}\t{out / 'b.json'}",
        f"{audio / 'sub/c.d.flac'}\t2.200\t{out / 'sub/c.d.srt'}\t{out / 'sub/c.d.json'}",
        "total: 3 inputs, 0.002 hours",
    ]
    assert not out.exists()
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    result = sew("transcribe", audio, "-", bad, "--dry-run", "--start", "1", "--end", "2")
    assert result.code == 3
    assert [line.split("\t")[1] for line in result.lines[:-1]] == ["1.000", "0.300", "1.000", "?"]
    assert result.lines[-1] == "total: 4 inputs, 0.001 hours, and 1 of unknown length"
    assert "bad.wav" in result.err
    assert sew("transcribe", bad, "--dry-run").code == 4
    assert sew("classify", audio / "a.wav", "--dry-run").lines[-1] == "total: 1 input, 0.001 hours"


def test_a_run_removes_what_a_killed_one_left(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    from sewcli.cli import atomic

    old, gone, alive = (tmp_path / "sub" / name for name in (
        ".sew-elsewhere-1.tmp", f"{atomic._prefix()}99999999.tmp", f"{atomic._prefix()}{os.getppid()}.tmp"
    ))  # fmt: skip
    old.parent.mkdir()
    for file in (old, gone, alive, tmp_path / "sub" / ".sew-note"):
        file.touch()
    os.utime(old, (0, 0))
    assert sew("transcribe", audio, "-m", ctc, "-o", tmp_path).code == 0
    assert files_in(tmp_path / "sub") == sorted([".sew-note", alive.name, "c.d.txt"])


def in_a_process(*arguments: object, stdout: Any = subprocess.PIPE, **options: Any) -> tuple[int, str]:
    """Exit code and messages of a run of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEW_")}
    process = subprocess.run(
        [sys.executable, "-m", "sewcli", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
        **options,
    )
    return process.returncode, process.stderr.decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_behind_standard_output_is_one_line_and_exit_1(audio: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        code, err = in_a_process("transcribe", "--dry-run", audio, stdout=full)
    assert (code, err) == (1, "sew: cannot write to standard output: No space left on device\n")


@pytest.mark.skipif(os.name != "posix", reason="needs limits on the size of files")
def test_full_disk_under_an_output_directory_ends_the_run_and_leaves_no_part_of_a_file(
    ctc: Path, audio: Path, tmp_path: Path
) -> None:
    import resource

    def no_file_above_300_bytes() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    code, err = in_a_process(
        "transcribe", audio, "-m", ctc, "-o", tmp_path, "-f", "text", "-f", "json",
        preexec_fn=no_file_above_300_bytes,
    )  # fmt: skip
    assert code == 1
    assert err.startswith(f"sew: cannot write {tmp_path / 'a.json'}: ")
    assert err.count("\n") == 1
    assert files_in(tmp_path) == ["a.txt"]

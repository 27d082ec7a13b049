"""Output directories: names, what is refused before a run, and what is left behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Sew
from helpers import files_in, write_babble

from sewcli.cli.output.directory import Directory
from sewcli.cli.output.template import Template
from sewcli.inputs.source import Source
from sewcli.writers import FORMATS


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


def test_listed_files_of_one_name_are_told_apart_by_their_directories(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("tree/a", "tree/b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.wav").symlink_to(audio / "b.wav")
    given = ("transcribe", "tree/a/1.wav", "tree/b/1.wav", "-m", ctc)
    for output in (("-o", "out"), ("--save-logits", "kept"), ("--plot", "drawn")):
        result = sew(*given, *output)
        assert (result.code, result.out) == (2, b"")
        # the advice can be followed
        option, pattern = re.search(r"(--\S+) '(\S+)'", result.err).groups()  # type: ignore[union-attr]
        more = (*output, option, pattern) if output[0] == "-o" else (option, pattern)
        assert sew(*given, *more).code == 0, result.err
    assert files_in(tmp_path / "out") == ["tree/a/1.wav.txt", "tree/b/1.wav.txt"]
    assert files_in(tmp_path / "kept") == [f"tree/{name}/1.wav.logits.safetensors" for name in "ab"]
    assert files_in(tmp_path / "drawn") == ["tree/a/1.wav.png", "tree/b/1.wav.png"]
    refused = sew(*given, "--save-logits", "kept/{index}.npy")
    assert (refused.code, "end in .logits.safetensors" in refused.err) == (2, True)
    template = Template("{parent}/{stem}.{ext}")
    assert str(template.path(Source("/data/../x/1.wav", Path()), FORMATS["text"], 1)) == "data/x/1.txt"


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
    given = ("transcribe", long, audio / "b.wav", "-m", ctc, "-f", "text", "-f", "verbose_json", "--resume")
    failed = tmp_path / "failed.jsonl"
    for _ in range(2):
        result = sew(*given, "-o", tmp_path / "out", "--failures", failed)
        assert result.code == 3
        assert "File name too long (see --output-template)" in result.err
        assert files_in(tmp_path / "out") == [".sew-journal.jsonl", ".sew-lock", "b.txt", "b.verbose.json"]
    assert sew(*given, "-o", tmp_path / "out", "--dry-run").code == 3
    assert json.loads(failed.read_text())["error"]["code"] == "output"
    again = sew("transcribe", "--files-from", failed, "-m", ctc, "-f", "json")
    assert [record["path"] for record in again.records] == [str(long)]


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
    short = write_babble(tmp_path / "short.wav", 0.044)
    told = sew("transcribe", short, "--dry-run")
    assert (told.code, told.err) == (4, sew("transcribe", short, "-m", ctc).err)
    least = write_babble(tmp_path / "least.wav", 0.045)
    assert sew("transcribe", least, "--dry-run").code == sew("transcribe", least, "-m", ctc).code == 0
    assert sew("transcribe", audio, "--dry-run", "-f", "srt").code == 2  # as without
    assert sew("classify", audio / "a.wav", "--dry-run").lines[-1] == "total: 1 input, 0.001 hours"


def test_a_run_removes_what_a_killed_one_left(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    from sewcli import atomic

    ours = atomic.own_prefix()
    names = (".sew-elsewhere-1.tmp", f"{ours}99999999.tmp", f"{ours}{os.getppid()}.tmp")
    old, gone, alive = (tmp_path / "sub" / name for name in names)
    old.parent.mkdir()
    for file in (old, gone, alive, tmp_path / "sub" / ".sew-note"):
        file.touch()
    os.utime(old, (0, 0))
    assert sew("transcribe", audio, "-m", ctc, "-o", tmp_path).code == 0
    assert files_in(tmp_path / "sub") == sorted([".sew-note", alive.name, "c.d.txt"])


def in_a_process(*arguments: object, **options: Any) -> tuple[int, str]:
    """Exit code and messages of a run of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEW_")}
    # where files are limited, the bytecode of modules would be cut too, and stay so
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    process = subprocess.run(
        [sys.executable, "-m", "sewcli", *map(str, arguments)],
        capture_output=True,
        env=environment,
        check=False,
        **options,
    )
    return process.returncode, process.stderr.decode()


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


def test_file_that_another_run_has_written_meanwhile_stays(
    sew: Sew, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.wav", "b.wav"):
        write_babble(tmp_path / name, 1.0)
    out = tmp_path / "out"
    pending = Directory.pending

    def and_another(self: Directory, run: str) -> Iterator[Source]:
        (out / "a.txt").write_text("of another")
        return pending(self, run)

    monkeypatch.setattr(Directory, "pending", and_another)
    given = ("transcribe", tmp_path / "a.wav", tmp_path / "b.wav", "-m", ctc, "-o", out)
    result = sew(*given)
    assert result.code == 3
    assert f"{out / 'a.txt'} was written by another since this run began" in result.err
    assert (out / "a.txt").read_text() == "of another"
    assert (out / "b.txt").read_text() != "of another"
    assert sew(*given, "--overwrite").code == 0
    assert (out / "a.txt").read_text() != "of another"

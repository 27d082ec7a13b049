"""`--resume`: what is done stays done, whatever ended the run, and nothing is done by halves."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from conftest import Sew
from filelock import FileLock
from helpers import change_json, tiny_model, write_babble
from runs import journal, outputs, written_at

from sewcli.cli.output import directory
from sewcli.cli.output.journal import JOURNAL, LOCK, audio_fingerprint
from sewcli.inputs.source import Source


@pytest.fixture
def tree(audio: Path, tmp_path: Path) -> Path:
    return shutil.copytree(audio, tmp_path / "tree")


def test_only_what_is_missing_changed_or_made_otherwise_is_done_again(
    sew: Sew, ctc: Path, ctc_d: Path, tree: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def run(*options: object, model: Path = ctc) -> tuple[set[str], str]:
        """Names of the files that a run wrote, and its messages."""
        before = written_at(out) if out.exists() else {}
        result = sew("transcribe", tree, "-m", model, "-o", out, "--resume", "-f", "json", *options)
        assert (result.code, result.out) == (0, b"")
        after = written_at(out)
        return {name for name in after if before.get(name) != after[name]}, result.err

    everything = {"a.json", "b.json", "sub/c.d.json"}
    assert run() == (everything, "")
    assert run() == (set(), "sew: 3 of 3 inputs were done before\n")
    (out / "a.json").unlink()
    (out / "b.json").write_text("corrected by hand, or cut sho")
    done, told = run()
    assert done == {"a.json", "b.json", "b.json~"}
    assert f"b.json was not as an earlier run had left it; that file is kept as {out / 'b.json~'}" in told
    assert (out / "b.json~").read_text() == "corrected by hand, or cut sho"
    (out / "b.json~").unlink()
    os.utime(tree / "a.wav")  # the same audio
    write_babble(tree / "b.wav", 1.3, seed=9)
    (tree / "new.wav").write_bytes((tree / "a.wav").read_bytes())
    assert run()[0] == {"b.json", "new.json"}
    assert run("--batch-seconds", "50", "--threads", "1")[0] == set()
    everything |= {"new.json"}
    for options in (["--stride", "0.4"], ["--timestamps", "char"], ["--end", "1"], ["--channel", "0"]):
        run(*options)
        assert run(*options)[0] == set()
        assert run()[0] == (set() if {"--end", "--channel"} & set(options) else everything)
    assert run(model=ctc_d)[0] == everything
    assert run("-f", "srt", model=ctc_d)[0] == everything | {
        name.replace("json", "srt") for name in everything
    }
    assert run("-f", "srt", "--max-chars", "20", model=ctc_d)[0]


def test_a_change_that_leaves_the_size_is_kept_and_done_again(
    sew: Sew, ctc: Path, tree: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = ("transcribe", tree, "-m", ctc, "-o", out, "--resume")
    assert sew(*given).err == ""
    text = (out / "a.txt").read_text()
    corrected = text.swapcase() if text.strip() else " " * len(text)
    assert corrected != text
    (out / "a.txt").write_text(corrected)
    told = sew(*given).err
    assert "2 of 3" in told
    assert told.count("kept as") == 1
    assert ((out / "a.txt").read_text(), (out / "a.txt~").read_text()) == (text, corrected)
    assert "3 of 3" in sew(*given).err
    # what a run without --resume has written by other settings
    assert sew(*given[:-1], "--overwrite", "--case", "lower").code == 0
    assert (out / "a.txt").read_text() != text
    assert "before" not in sew(*given).err
    assert (out / "a.txt").read_text() == text


def test_a_journal_that_has_grown_is_written_anew(sew: Sew, ctc: Path, tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ("transcribe", tree, "-m", ctc, "-o", out, "--resume")
    assert sew(*given).code == 0
    content = (out / JOURNAL).read_bytes()
    (out / JOURNAL).write_bytes(content * 500)
    assert "3 of 3" in sew(*given).err
    assert sorted(journal(out)) == ["a.txt", "b.txt", "sub/c.d.txt"]
    assert "3 of 3" in sew(*given).err


def test_a_model_that_changed_in_its_directory_counts_as_another(
    sew: Sew, ctc: Path, tree: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    given = ("transcribe", tree, "-m", model, "-o", tmp_path / "out", "--resume")
    assert sew(*given).err == ""
    assert "3 of 3" in sew(*given).err
    os.utime(model / "model.safetensors")
    (model / "README.md").write_text("of no part in it")
    (model / "left").symlink_to(tmp_path / "gone")
    (model / "left.json").symlink_to(tmp_path / "gone")
    assert "3 of 3" in sew(*given).err
    other = tiny_model(tmp_path / "other", "sew", "ctc", seed=2)
    shutil.copy(other / "model.safetensors", model)
    assert sew(*given).err == ""
    assert "3 of 3" in sew(*given).err
    ids = json.loads((model / "vocab.json").read_text())
    change_json(model / "vocab.json", A=ids["B"], B=ids["A"])
    assert sew(*given).err == ""


def test_the_result_of_another_input_is_kept(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    """Two folders that hold recordings of one name, one after the other into one directory."""
    for folder, source in (("one", "a.wav"), ("two", "b.wav")):
        (tmp_path / folder).mkdir()
        shutil.copy(audio / source, tmp_path / folder / "x.wav")
    out = tmp_path / "out"
    given = ("-m", ctc, "-o", out, "--resume")
    assert sew("transcribe", tmp_path / "one" / "x.wav", *given).err == ""
    first = (out / "x.txt").read_text()
    result = sew("transcribe", tmp_path / "two" / "x.wav", *given)
    kept = f"{out}/x.txt is the result of {tmp_path}/one/x.wav; that file is kept as {out}/x.txt~"
    assert (result.code, result.err) == (0, f"sew: {kept}\n")
    assert (out / "x.txt~").read_text() == first != (out / "x.txt").read_text()
    # what was moved is not another one, nor is a copy, nor one that has changed
    (tmp_path / "two").rename(tmp_path / "three")
    assert "1 of 1" in sew("transcribe", tmp_path / "three" / "x.wav", *given).err
    shutil.copytree(tmp_path / "three", tmp_path / "four")
    assert sew("transcribe", tmp_path / "four" / "x.wav", *given, "--case", "lower").err == ""
    shutil.copy(audio / "sub" / "c.d.flac", tmp_path / "four" / "x.wav")
    assert sew("transcribe", tmp_path / "four" / "x.wav", *given).err == ""
    assert sorted(outputs(out)) == ["x.txt", "x.txt~"]


def test_inputs_are_looked_up_side_by_side_and_come_in_order(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (tmp_path / "in" / f"{number:02}.wav").parent.mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number:02}.wav").write_bytes((audio / "b.wav").read_bytes())
    given = ("transcribe", tmp_path / "in", "-m", ctc, "-o", tmp_path / "out", "--resume", "-v")
    two = threading.Barrier(2)

    def looked_up(source: Source) -> str | None:
        two.wait(60)  # which a single thread would do in vain
        return audio_fingerprint(source)

    monkeypatch.setattr(directory, "audio_fingerprint", looked_up)
    assert sew(*given).code == 0
    for number in (3, 4, 9):
        (tmp_path / "out" / f"{number:02}.txt").unlink()
    result = sew(*given)
    assert "9 of 12 inputs were done before" in result.err
    assert journal(tmp_path / "out")[12:] == ["03.txt", "04.txt", "09.txt"]


def test_failed_inputs_are_tried_again_and_the_exit_code_counts_what_is_done(
    sew: Sew, ctc: Path, tree: Path, tmp_path: Path
) -> None:
    (tree / "bad.wav").write_text("no audio")
    given = ("transcribe", tree, "-m", ctc, "-o", tmp_path / "out", "--resume")
    for _ in range(2):
        result = sew(*given)
        assert result.code == 3
        assert "bad.wav" in result.err
    assert sew(*given, "--dry-run").code == 3
    write_babble(tree / "bad.wav", 1.0)
    assert sew(*given).code == 0
    assert "bad.txt" in outputs(tmp_path / "out")
    assert sew(*given, "--dry-run").lines == ["total: 0 inputs, 0.000 hours"]
    write_babble(tree / "bad.wav", 1.5)
    assert [line.split("\t")[1] for line in sew(*given, "--dry-run").lines[:-1]] == ["1.500"]


def test_files_without_an_entry_are_written_again_and_broken_lines_are_passed_over(
    sew: Sew, ctc: Path, tree: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = ("transcribe", tree, "-m", ctc, "-o", out)
    assert sew(*given).code == 0
    assert sew(*given).code == 2
    complete = outputs(out)
    (out / "a.txt").write_text("of another program")
    assert sew(*given, "--resume").err.count("kept as") == 1  # the others are what would be written
    assert (out / "a.txt~").read_text() == "of another program"
    (out / "a.txt~").unlink()
    assert outputs(out) == complete
    lines = (out / JOURNAL).read_bytes().splitlines(keepends=True)
    broken = [lines[0], b'{"files": 3}\n', b"[]\n", b"\xff\n", b"\n", lines[1], lines[2][:20]]
    (out / JOURNAL).write_bytes(b"".join(broken))
    assert "2 of 3" in sew(*given, "--resume").err
    assert "3 of 3" in sew(*given, "--resume").err
    assert outputs(out) == complete


def test_standard_input_is_never_passed_over(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        sound = (audio / name).read_bytes()
        assert sew("transcribe", "-", "-m", ctc, "-o", tmp_path / "out", "--resume", stdin=sound).err == ""
        [written] = outputs(tmp_path / "out").values()
        assert written == sew("transcribe", audio / name, "-m", ctc).out


def test_what_is_newly_asked_for_beside_the_results_is_missing(
    sew: Sew, ctc: Path, classifier: Path, tree: Path, tmp_path: Path
) -> None:
    """Logits and pictures of inputs whose results are done."""
    logits, pictures = tmp_path / "logits", tmp_path / "pictures"
    given = ("transcribe", tree, "-m", ctc, "-f", "json", "-o", tmp_path / "out", "--resume")
    assert sew(*given).code == 0
    complete = outputs(tmp_path / "out")
    for more in (
        ("--save-logits", logits),
        ("--plot", pictures),
        ("--save-logits", logits, "--plot", pictures),
    ):
        again = (*given, *more)
        anew = len(more) == 2
        assert sew(*again, "--dry-run").lines[-1].startswith(f"total: {3 if anew else 0} inputs")
        assert not anew or not Path(more[1]).exists()
        assert sew(*again).err == ("" if anew else "sew: 3 of 3 inputs were done before\n")
        assert "3 of 3" in sew(*again).err
    assert outputs(tmp_path / "out") == complete
    assert len(outputs(logits)) == len(outputs(pictures)) == 3
    (logits / "a.logits.safetensors").write_bytes(b"cut")
    (pictures / "sub" / "c.d.png").unlink()
    assert "1 of 3" in sew(*again).err
    assert sew("decode", logits).code == 0
    # what another run left is of other settings
    assert sew(*given, "--stride", "0.4").err == ""
    assert sew(*again, "--stride", "0.4").err == ""
    given = ("classify", tree, "-m", classifier, "--window", "0.5", "-o", tmp_path / "labels", "--resume")
    assert sew(*given).code == 0
    assert sew(*given, "--plot", tmp_path / "labels").err == ""
    assert "3 of 3" in sew(*given, "--plot", tmp_path / "labels").err
    assert len(list((tmp_path / "labels").rglob("*.png"))) == 3


def test_two_runs_at_one_directory_are_refused_and_others_are_not(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    given = ("transcribe", audio / "b.wav", "-m", ctc, "-o")
    with FileLock(tmp_path / LOCK):
        result = sew(*given, tmp_path, "--resume")
        assert result.code == 2
        assert f"another run with --resume is writing to {tmp_path}" in result.err
        assert sew(*given, tmp_path / "other", "--resume").code == 0
        assert "another run with --resume" in sew(*given, tmp_path, "--overwrite").err
        assert outputs(tmp_path).keys() == {"other/b.txt"}
    assert sew(*given, tmp_path, "--resume").code == 0
    assert sew(*given, tmp_path, "--overwrite").code == 0


def test_resume_needs_a_directory(sew: Sew, ctc: Path, audio: Path) -> None:
    result = sew("transcribe", audio, "-m", ctc, "--resume")
    assert result.code == 2
    assert "-o DIR" in result.err


def test_files_of_two_formats_of_one_name_are_not_taken_for_each_other(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    given = ("transcribe", audio / "b.wav", "-m", ctc, "-o", tmp_path, "--output-template", "{stem}.out")
    for form in ("json", "srt"):
        assert sew(*given, "-f", form, "--resume").code == 0
    assert not (tmp_path / "b.out").read_bytes().startswith(b"{")

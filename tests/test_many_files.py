"""Many files with awkward names in one run, which is killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Sew
from helpers import babble
from runs import journal, start, wait_for_entries
from soundfile import write

MANY = 300
NAMES = (
    b"two words %d",
    b"new\nline %d",
    b"-dash%d",
    b"caf\xe9 %d",
    "gr\u00f6\u00dfe %d".encode(),
    b"quote'\"%d",
)


@pytest.mark.slow
@pytest.mark.defaults
@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are not UTF-8")
def test_all_of_many_files_with_awkward_names_are_done_once(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    sound = babble(1.0)
    for number in range(MANY):
        folder = os.fsencode(tmp_path / "in" / f"{number % 7}")
        Path(os.fsdecode(folder)).mkdir(parents=True, exist_ok=True)
        name = os.fsdecode(folder + b"/" + NAMES[number % len(NAMES)] % number + b".wav")
        with Path(name).open("wb") as file:
            write(file, sound[: 4_800 + number], 16_000, format="WAV")
    inputs, out = tmp_path / "in", tmp_path / "out"
    process = start(inputs, "-m", ctc, "-f", "json", "-o", out, "--resume")
    wait_for_entries(process, out, MANY // 3)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert process.stderr is not None
    process.stderr.close()
    before = len(journal(out))
    rest = sew("transcribe", inputs, "-m", ctc, "-f", "json", "-o", out, "--resume")
    assert (rest.code, rest.err) == (0, f"sew: {before} of {MANY} inputs were done before\n")
    expected = {str(file.relative_to(inputs).with_suffix(".json")) for file in inputs.rglob("*.wav")}
    written = {str(file.relative_to(out)) for file in out.rglob("*.json")}
    assert len(expected) == MANY
    assert written == expected
    for name in written:
        told = json.loads((out / name).read_bytes())["path"]
        assert Path(told) == (inputs / name).with_suffix(".wav")
    listed = subprocess.run(["find", inputs, "-name", "*.wav", "-print0"], capture_output=True, check=True)
    again = ("transcribe", "-0", "--files-from", "-", "-m", ctc, "-f", "json")
    streamed = sew(*again, stdin=listed.stdout)
    assert (streamed.code, len(streamed.lines)) == (0, MANY)


def test_a_file_that_looks_like_an_option_is_told_as_such(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-dash.wav").write_bytes((audio / "b.wav").read_bytes())
    refused = sew("transcribe", "-m", ctc, "-dash.wav")
    assert refused.code == 2
    assert "./-dash.wav" in refused.err
    for right in (("--", "-dash.wav"), ("./-dash.wav",)):
        assert sew("transcribe", "-m", ctc, *right).code == 0

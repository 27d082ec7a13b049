"""The commands of the README as a user types them, and pipelines, in a shell."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import write_babble

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
#: what needs a network, a microphone, a film, the published models or minutes of an idle machine
ELSEWHERE = ("https://", "arecord", "film.mkv", "sew-d-mid", "sew-tiny", "sew bench")

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not EXAMPLES.is_dir(), reason="needs bash and the examples"
)


def shown() -> list[str]:
    """The commands of the section Use that can run anywhere."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Use\n")[1]
    lines = section.split("```")[1].strip().splitlines()
    commands = [re.split(r"\s{2,}#|\s#\s", line)[0].strip() for line in lines]
    return [command for command in commands if command and not any(part in command for part in ELSEWHERE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README speaks of, and `sew` in bin/."""
    place = tmp_path_factory.mktemp("user")
    speech = EXAMPLES / "speech" / "go-forward.wav"
    (place / "recordings" / "two words").mkdir(parents=True)
    (place / "clips").mkdir()
    (place / "bin").mkdir()
    for name in ("talk.wav", "recordings/a.wav", "recordings/two words/-b.wav"):
        shutil.copy(speech, place / name)
    write_babble(place / "call.wav", 31.5, channels=2, rate=8_000)
    write_babble(place / "recordings" / "c.flac", 1.0)
    (place / "sentences.txt").write_text("GO FORWARD TEN METERS\nGO BACK\nTEN STEPS FORWARD\n" * 20)
    (place / "talk.txt").write_text("go forward ten meters\n")
    for clip in (EXAMPLES / "keywords").glob("[cj]*.opus"):
        shutil.copy(clip, place / "clips")
    shutil.copy(EXAMPLES / "keywords" / "computer.opus", place / "clip.wav")
    program = place / "bin" / "sew"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sewcli "$@"\n')
    program.chmod(0o755)
    return place


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEW_", "HF_"))}
    path = f"{folder / 'bin'}{os.pathsep}{kept['PATH']}"
    env = kept | {"PATH": path, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    shell = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(
        shell, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False, input=""
    )


@pytest.mark.parametrize("command", shown())
def test_a_command_of_the_readme_works(folder: Path, command: str) -> None:
    if "--decoder beam" in command or "--lm" in command:
        pytest.importorskip("pyctcdecode")
    if "kenlm" in command or "--lm" in command or command.startswith("sew lm"):
        pytest.importorskip("kenlm")
    done = run(folder, command)
    assert done.returncode == 0, done.stderr
    assert done.stdout or "-o " in command or ">" in command or "--stack" in command


PIPELINES = {
    "find": "find . -path '*rec*.wav' -print0 | sort -z | sew transcribe -0 --files-from - -f json",
    "xargs": "find recordings -name '*.wav' -print0 | sort -z | xargs -0 sew transcribe -f json --",
    "tee": "sew transcribe -f json recordings --include '*.wav' | tee copy.jsonl",
    "standard input": 'for f in recordings/{a,*/-b}.wav; do sew transcribe -f json - < "$f"; done',
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_works_as_written(folder: Path, name: str) -> None:
    done = run(folder, PIPELINES[name])
    assert (done.returncode, done.stderr) == (0, "")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 2
    assert len({record["text"] for record in records}) == 1
    if name != "standard input":
        ends = sorted(record["path"].removeprefix("./") for record in records)
        assert ends == ["recordings/a.wav", "recordings/two words/-b.wav"]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_reads_the_texts(folder: Path) -> None:
    done = run(folder, PIPELINES["find"] + " | jq -r .text")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2

"""Every command that the README and docs/ show, run in order on the examples and the embedded models."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
import subprocess
import zipfile
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from conftest import MATRIX, Sew
from helpers import write_babble
from shell import EXAMPLES, ROOT, put_program, run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: commands that are shown and not run, by what is in them, and why
ELSEWHERE = {
    "https://": "needs a network",
    "s3://": "needs a network",
    "gs://": "needs a network",
    "sew-d-mid": "a published model, from a network",
    "sew-tiny": "a published model, from a network",
    "cuda": "needs a GPU",
    "arecord": "needs a microphone",
    "film.mkv": "needs a film",
    "make ": "installs, and runs these tests",
    "pip install": "installs",
    "someone/": "a model of somebody's, from a network",
    "~/": "writes to the home directory",
    "sew bench": "measures for minutes",
    "sew train": "trains for hours; tests/test_training_*.py train for seconds",
    "torchrun": "trains for hours; tests/test_training_*.py train for seconds",
}
pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not EXAMPLES.is_dir(), reason="needs bash and the examples"
)


def shown(page: Path) -> list[str]:
    """The commands of a page, which stand in blocks of code without a language; models are built first."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    commands = [re.split(r"\s{2,}#|\s#\s", line)[0].strip() for line in lines]
    return sorted(filter(None, commands), key=lambda command: not command.startswith("sew lm build"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with the files that the pages speak of."""
    place = tmp_path / "user"
    speech, keyword = EXAMPLES / "speech" / "go-forward.wav", EXAMPLES / "keywords" / "computer.opus"
    text = "GO FORWARD TEN METERS"
    for name in ("recordings/two words", "clips", "calls", "runs/mine"):
        (place / name).mkdir(parents=True)
    for name in ("talk.wav", "meeting.wav", "recordings/a.wav", "recordings/two words/-b.wav"):
        shutil.copy(speech, place / name)
    with_a_keyword = [librosa.load(file, sr=16_000)[0] for file in (speech, keyword)]
    soundfile.write(place / "talk.wav", np.concatenate(with_a_keyword), 16_000)
    for name in ("clip.wav", "clips/a.opus", "clips/b.opus", "calls/17.flac"):
        shutil.copy(keyword, place / name)
    shutil.copytree(ROOT / "sewcli" / "models" / "nano", place / "runs" / "mine" / "model")
    write_babble(place / "call.wav", 31.5, channels=2, rate=8_000)
    write_babble(place / "recordings" / "c.flac", 1.0)
    with zipfile.ZipFile(place / "calls.zip", "w") as archive:
        archive.write(place / "calls" / "17.flac", "calls/17.flac")
    sentences = f"{text}\nGO BACK\nTEN STEPS FORWARD\n" * 20
    (place / "sentences.txt").write_text(sentences)
    (place / "more.txt.gz").write_bytes(gzip.compress(sentences.encode()))
    (place / "talk.txt").write_text(text.lower())
    (place / "names.txt").write_text("METERS\nVOYAGER\n")
    spoken = row("recordings/a.wav", text=text) + row("recordings/two words/-b.wav", text=text)
    for name in ("manifest", "test", "dev", "meetings"):
        (place / f"{name}.jsonl").write_text(spoken)
    (place / "keywords.jsonl").write_text(
        row("clip.wav", label="computer") + row("clips/a.opus", label="seven")
    )
    event = {"label": "computer", "start": 0.2, "end": 0.8}
    (place / "recordings.jsonl").write_text(row("call.wav", events=[event]))
    put_program(place)
    monkeypatch.chdir(place)
    return place


def row(file: str, **more: object) -> str:
    return json.dumps({"audio_filepath": file, **more}) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_work_as_written(
    folder: Path, sew: Sew, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if MATRIX.get("DTYPE") == "int8" and "--attentions" in page.read_text():
        pytest.skip("transformers has no int8")
    left_out = []
    for command in shown(page):
        if any(part in command for part in ELSEWHERE):
            continue
        if "|" in command or not command.startswith("sew "):
            if missing := missing_programs(command):
                left_out.append(f"{command}: no {missing}")
            else:
                in_a_shell(folder, command)
            continue
        if missing := missing_package(command):
            left_out.append(f"{command}: no {missing}")
            continue
        if "--attentions" in command:  # the fast engine has none
            monkeypatch.delenv("SEW_ENGINE", raising=False)
        words, _, file = command.removeprefix("sew ").partition(" > ")
        done = sew(*shlex.split(words))
        assert done.code == 0, f"{command}: {done.err}"
        if file:
            (folder / file).write_bytes(done.out)
        assert done.out or re.search(r" (-o|--stack|>) ", command), command
    if left_out:
        pytest.skip("all but " + "; ".join(left_out))


def missing_programs(command: str) -> str:
    """What bash does not find of the words that begin a command, or follow a pipe."""
    words = list(shlex.shlex(command, posix=True, punctuation_chars=True))
    programs = {word for before, word in pairwise(["|", *words]) if before == "|"} - {"sew"}
    asked = {name: subprocess.run(["bash", "-c", f"type {name}"], check=False) for name in sorted(programs)}
    return ", ".join(name for name, found in asked.items() if found.returncode)


def in_a_shell(folder: Path, command: str) -> None:
    done = run(folder, command)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    assert done.stdout or ">" in command or command.startswith(("source ", "wait")), command


def missing_package(command: str) -> str:
    """A package of an extra that a command needs and that is not installed."""
    packages = {
        "--decoder beam": "pyctcdecode",
        "--lm": "kenlm",
        "sew tune-lm": "kenlm",
        "whisper-en": "whisper_normalizer",
        "zip://": "fsspec",
    }
    needed = {package: part for part, package in packages.items() if part in command}
    return ", ".join(package for package in needed if find_spec(package) is None)


def test_the_table_of_what_is_not_run_has_nothing_that_is_not_shown() -> None:
    everything = "\n".join(command for page in PAGES for command in shown(page))
    assert [part for part in ELSEWHERE if part not in everything] == []

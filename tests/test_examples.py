"""Pipelines as a user types them, in a shell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers import write_babble
from shell import EXAMPLES, put_program, run

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not EXAMPLES.is_dir(), reason="needs bash and the examples"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings, and `sew` in bin/."""
    place = tmp_path_factory.mktemp("user")
    speech = EXAMPLES / "speech" / "go-forward.wav"
    (place / "recordings" / "two words").mkdir(parents=True)
    for name in ("recordings/a.wav", "recordings/two words/-b.wav"):
        shutil.copy(speech, place / name)
    write_babble(place / "recordings" / "c.flac", 1.0)
    put_program(place)
    return place


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

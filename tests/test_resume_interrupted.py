"""`--resume` after runs that were killed or ended by a signal."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Sew
from helpers import write_babble
from runs import journal, outputs, start, wait_for_entries, written_at

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for i in range(40):
        write_babble(tmp_path / "many" / f"{i % 3}" / f"{i}.wav", 2.0 + i / 40, seed=i)
    return tmp_path / "many"


@pytest.mark.defaults
@posix
def test_kills_at_random_moments_leave_what_an_uninterrupted_run_leaves(
    sew: Sew, ctc: Path, many: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    given = (many, "-m", ctc, "-f", "json", "-f", "srt", "-o")
    chance = random.Random(4)
    for wanted in (1, 15):
        process = start(*given, out, "--resume")
        wait_for_entries(process, out, wanted)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert process.stderr is not None
        process.stderr.close()
    # not a file by halves, and none in the journal that is not there
    done = journal(out)
    assert 30 <= len(done) < 80
    names = {name for name in outputs(out) if not name.endswith(".tmp")}
    assert set(done) <= names
    assert all(json.loads((out / name).read_text())["words"] for name in names if name.endswith("json"))
    before = written_at(out)
    assert sew("transcribe", *given, out, "--resume").code == 0
    assert {name for name in done if before[name] != written_at(out)[name]} == set()
    assert sew("transcribe", *given, whole).code == 0
    assert outputs(out) == outputs(whole)
    assert len(outputs(out)) == 80


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_end_a_run_with_130_and_keep_what_is_written(
    ctc: Path, many: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    # standard input never ends, so the run cannot either
    process = start(many, "-", "-m", ctc, "-o", out, "--resume", stdin=subprocess.PIPE)
    wait_for_entries(process, out, 5)
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    done = journal(out)
    told = re.fullmatch(
        rf"sew: interrupted: (\d+) of 41 inputs done, kept in {out}; go on with --resume\n",
        err.decode(),
    )
    assert told is not None
    assert len(done) - 1 <= int(told[1]) <= len(done)
    assert 5 <= len(done) < 41
    assert not [name for name in outputs(out) if Path(name).name.startswith(".sew-")]
    assert set(done) <= set(outputs(out))

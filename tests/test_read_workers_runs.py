"""Commands and Python with --read-workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Sew
from helpers import write_babble
from runs import Run, await_end

from sewcli.reading.read_workers import ReadWorkers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@pytest.fixture
def inputs(audio: Path, tmp_path: Path) -> tuple[object, ...]:
    """Inputs good and bad, and a folder."""
    (tmp_path / "bad.wav").write_text("no audio")
    good = write_babble(tmp_path / "long.flac", 25.0, seed=7, rate=22_050, channels=2)
    (tmp_path / "cut.flac").write_bytes(good.read_bytes()[:-9000])
    return (audio / "a.wav", tmp_path / "bad.wav", good, "gone.wav", tmp_path / "cut.flac", audio)


@pytest.mark.parametrize(
    "options",
    [
        ("transcribe", "-f", "json"),
        ("transcribe", "-f", "json", "--vad", "--vad-silence", "0.8", "--batch-seconds", "9"),
        ("transcribe", "-f", "json", "--channel", "split", "--start", "0.5"),
        (
            "transcribe",
            "-f",
            "json",
            "--statistics",
            "chunk",
            "--chunk",
            "2",
            "--stride",
            "0.2",
            "--audio-engine",
            "librosa",
        ),
    ],
)
@pytest.mark.slow
def test_results_and_messages_are_the_same_whatever_their_number(
    sew: Sew, ctc: Path, inputs: tuple[Path, ...], options: tuple[str, ...]
) -> None:
    given = (*options, *inputs, "-", "-m", ctc)
    stdin = Path(inputs[0]).read_bytes()
    here = sew(*given, "--read-workers", "0", stdin=stdin)
    assert here.code == 3
    assert len(here.messages) == (4 if "split" in options else 3)
    # each imports librosa first where it is asked for
    for count in ("2",) if "librosa" in options else ("1", "3"):
        there = sew(*given, "--read-workers", count, stdin=stdin)
        assert (there.code, there.out, there.err) == (3, here.out, here.err)


@pytest.mark.parametrize("command", ["classify", "embed", "align", "evaluate", "tune-lm"])
@pytest.mark.slow
def test_other_commands_too(
    sew: Sew, ctc: Path, classifier: Path, audio: Path, manifest: Path, tmp_path: Path, command: str
) -> None:
    if command == "tune-lm":
        pytest.importorskip("kenlm", reason="kenlm is not installed: pip install 'sewcli[lm]'")
    long = write_babble(tmp_path / "long.wav", 61.0)
    given = {
        "classify": ("classify", audio, long, "-m", classifier, "-f", "json"),
        "embed": ("embed", audio, "-m", ctc, "-f", "json", "--pool", "mean"),
        "align": ("align", "--files-from", manifest, "-m", ctc, "-f", "json"),
        "evaluate": ("evaluate", manifest, "-m", ctc, "-f", "json"),
        "tune-lm": ("tune-lm", manifest, "-m", ctc, "--alphas", "1", "--betas", "1", "--beam-widths", "5"),
    }[command]
    here, there = (sew(*given, "--read-workers", count) for count in ("0", "2"))
    assert here.code == (3 if command == "classify" else 0), here.err
    assert there.err == here.err
    if command == "evaluate":
        scores = [json.loads(one.out) for one in (here, there)]
        for score in scores:
            for measured in (score, *score["sets"].values()):
                for key in ("network_seconds", "rtf", "wall_seconds"):
                    measured.pop(key, None)
        assert scores[0] == scores[1]
    else:
        assert there.out == here.out


def test_names_that_are_not_utf8(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("needs file names that are not UTF-8")
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \n.wav")
    shutil.copyfile(audio / "a.wav", name)
    shutil.copyfile(audio / "a.wav", tmp_path / "a.wav")
    given = ("transcribe", "-m", ctc, "--read-workers", "1", "-f", "json")
    awkward, plain = sew(*given, name), sew(*given, tmp_path / "a.wav")
    assert awkward.code == 0
    assert awkward.texts == plain.texts


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "257"])
def test_a_number_that_is_none_is_wrong_usage(sew: Sew, given: str) -> None:
    result = sew("transcribe", "a.wav", "--read-workers", given)
    assert (result.code, "--read-workers" in result.err) == (2, True)


def test_the_number_in_environment_and_file(
    sew: Sew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEW_READ_WORKERS", "two")
    assert "two" in sew("transcribe", "a.wav").err
    monkeypatch.setenv("SEW_READ_WORKERS", "auto")
    (tmp_path / "sew.toml").write_text("read-workers = 2\n")
    assert "read-workers\t-\tSEW_READ_WORKERS" in sew("config", "show").out.decode()
    monkeypatch.delenv("SEW_READ_WORKERS")
    assert "read-workers\t2\t" in sew("config", "show").out.decode()


def test_python_takes_the_number(ctc: Path, classifier: Path, audio: Path) -> None:
    import sewcli

    files = [str(audio / "a.wav"), "gone.wav", str(audio / "b.wav")]
    for model, method in ((ctc, "transcribe"), (classifier, "classify")):
        loaded = sewcli.load(model)
        many = getattr(loaded, f"{method}_many")
        here, there = (list(many(files, read_workers=count)) for count in (0, 2))
        assert here == there
        assert isinstance(there[1], sewcli.Failure)
        assert getattr(loaded, method)(files[0], read_workers=1) == here[0]
        with pytest.raises(sewcli.UsageError, match="read_workers=-1"):
            many(files, read_workers=-1)


def test_beside_a_gpu_many_files_are_read_in_processes(
    ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network runs on the CPU here, and says that it is on a GPU."""
    import sewcli

    pools: list[ReadWorkers] = []
    started: list[int] = []

    class Seen(ReadWorkers):
        def close(self) -> None:
            started.append(len(self.pids))
            super().close()
            pools.append(self)

    model = sewcli.load(ctc, device="cpu")
    here = list(model.transcribe_many([str(audio / "a.wav"), "gone.wav"]))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr("sewcli.reading.read_workers.ReadWorkers", Seen)
    monkeypatch.setattr(model._network, "device", "cuda:0")
    for count in (8, 20):
        files = [str(audio / "a.wav")] * count + ["gone.wav"]
        there = list(model.transcribe_many(files, batch_seconds=30.0))
        assert [one.text for one in there[:-1]] == [here[0].text] * count
        assert there[-1] == here[1]
    assert [pool.count for pool in pools] == [3, 3]
    assert started[0] == 0
    assert 1 <= started[1] <= 3
    assert pools[1].pids == []


def test_an_interpreter_that_does_not_start_fails_the_inputs(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for executable, reason in (("true", "exit code 0"), ("nothing", "No such file")):
        monkeypatch.setattr(sys, "executable", shutil.which(executable) or executable)
        result = sew("transcribe", audio / "a.wav", audio / "b.wav", "-m", ctc, "--read-workers", "1")
        assert result.code == 4
        assert len(result.messages) == 2
        assert all(reason in line and str(audio) in line for line in result.messages)


@needs_proc
def test_a_process_of_a_run_that_is_killed_ends_while_it_reads(ctc: Path, tmp_path: Path) -> None:
    write_babble(tmp_path / "long.flac", 400.0)
    run = Run(tmp_path, *(5 * [tmp_path / "long.flac"]), "-m", ctc, "--read-workers", "1")
    while not (workers := run.children()) and run.process.poll() is None:
        time.sleep(0.02)
    assert workers
    time.sleep(0.5)
    run.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)  # what it sends is taken by nobody
    run.process.kill()
    run.end()
    await_end(workers)


def test_moments_do_not_depend_on_the_threads_of_blas() -> None:
    code = """
import ctypes, glob, os, sys, numpy as np
from sewcli.acoustic.statistics import wave_statistics
[library] = glob.glob(os.path.join(os.path.dirname(np.__path__[0]), "numpy.libs", "libopenblas*")) or [None]
names = ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_", "openblas_set_num_threads")
loaded = library and ctypes.CDLL(library)
found = [getattr(loaded, name) for name in names if library and hasattr(loaded, name)]
if not found:
    sys.exit(9)
for threads in (1, 4, 8):
    found[0](threads)
    made = wave_statistics(np.random.default_rng(0).standard_normal(200_000).astype(np.float32))
    print(made.mean, made.variance, made.window_mean.tolist(), made.window_covariance.tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 9:
        pytest.skip("numpy has no OpenBLAS of its own")
    first, *others = done.stdout.splitlines()
    assert others == [first, first], done.stderr

"""Decoding of audio in processes beside the network."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import babble, write_babble

from sewcli.acoustic.statistics import WaveStatistics
from sewcli.audio.arrays import array_source
from sewcli.chunking import ChunkPlan
from sewcli.errors import AudioError, InputError, UsageError
from sewcli.inputs.source import Source
from sewcli.pipeline.run import Options
from sewcli.processes.pool import DeadWorkerError
from sewcli.reading.activity_options import ActivityOptions
from sewcli.reading.read_workers import ReadWorkers, read_workers
from sewcli.reading.recording import Recording
from sewcli.reading.samples import Samples

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def workers() -> Iterator[ReadWorkers]:
    pool = ReadWorkers(2)
    yield pool
    pool.close()


def recording_of(file: Path | Source, workers: ReadWorkers | None = None, **how: object) -> Recording:
    source = file if isinstance(file, Source) else Source(str(file), file)
    return Recording(source, workers=workers, **how)  # type: ignore[arg-type]


def check_same(here: Recording, there: Recording) -> None:
    assert (here.samples, here.pieces) == (there.samples, there.pieces)
    np.testing.assert_array_equal(here.read(0, here.samples), there.read(0, there.samples))
    for field in fields(WaveStatistics):
        np.testing.assert_array_equal(
            getattr(here.statistics, field.name), getattr(there.statistics, field.name)
        )


@pytest.mark.parametrize("how", [{}, {"activity": ActivityOptions(silence=0.7)}, {"engine": "librosa"}])
def test_recordings_are_those_of_this_process(
    workers: ReadWorkers, tmp_path: Path, how: dict[str, object]
) -> None:
    files = [
        write_babble(tmp_path / "a.wav", 3.0),
        write_babble(tmp_path / "b.flac", 7.3, seed=1, rate=44_100, channels=2),
        write_babble(tmp_path / "c.ogg", 2.2, seed=2, rate=8_000),
        write_babble(tmp_path / "d.mp3", 5.0, seed=3, rate=22_050),
    ]
    pause = np.concatenate([babble(2.0), np.zeros(32_000, np.float32), babble(2.0, 1)])
    soundfile.write(tmp_path / "pause.wav", pause, 16_000)
    sources = [Source(str(file), file) for file in [*files, tmp_path / "pause.wav"]]
    sources += [Source("part", files[1], 1.5, 2.25), Source("right", files[1], channel=1)]
    for source in sources:
        check_same(recording_of(source, **how), recording_of(source, workers, **how))
    assert len(workers.pids) == 1
    parts = recording_of(sources[4], workers, **how).pieces
    assert (len(parts) == 2) == ("activity" in how)


def test_a_long_file_comes_as_a_file_on_disk(workers: ReadWorkers, tmp_path: Path) -> None:
    file = write_babble(tmp_path / "long.flac", 150.0)
    there = recording_of(file, workers)
    assert not there._held.in_memory
    check_same(recording_of(file), there)


def test_what_is_wrong_with_a_file_is_told_as_here(workers: ReadWorkers, tmp_path: Path) -> None:
    good = write_babble(tmp_path / "good.flac", 70.0)
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "cut.flac").write_bytes(good.read_bytes()[:900_000])
    soundfile.write(tmp_path / "nan.wav", np.full(9_000, np.nan, np.float32), 16_000, "FLOAT")
    write_babble(tmp_path / "short.wav", 0.01)
    sources = [Source(name, tmp_path / name) for name in ("text.wav", "empty.wav", "cut.flac", "nan.wav")]
    sources += [Source(name, tmp_path / name) for name in ("short.wav", "gone.wav", "\0.wav")]
    sources += [Source("good.flac", good), Source("late", good, 99.0), Source("third", good, channel=2)]
    sources += [Source("folder", tmp_path), Source("row 3", good, error="not a row")]
    codes = set()
    for source in sources:
        with pytest.raises(AudioError) as here:
            recording_of(source, longest=60.0)
        with pytest.raises(AudioError) as there:
            recording_of(source, workers, longest=60.0)
        assert str(there.value) == str(here.value)
        assert (there.value.hint, there.value.code) == (here.value.hint, here.value.code)
        codes.add(here.value.code)
    assert {"not_audio", "empty_file", "damaged", "not_finite", "too_short", "not_found"} < codes
    assert {"too_long", "no_samples", "channel", "is_directory", "source"} < codes
    assert len(workers.pids) == 1


def test_what_a_process_cannot_open_is_read_here(
    workers: ReadWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_babble(tmp_path / "folder" / "a.wav", 1.0)
    content, expected = file.read_bytes(), recording_of(file)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    check_same(expected, recording_of(Source("-", Path("-")), workers))
    check_same(expected, recording_of(array_source(soundfile.read(file)[0], 16_000), workers))
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True).start()
    check_same(expected, recording_of(tmp_path / "pipe", workers))
    check_same(expected, recording_of(Source(f"file://{file}", Path()), workers))
    assert workers.pids == []
    with file.open("rb") as opened:  # a number that is open in this process alone
        check_same(expected, recording_of(Path(f"/dev/fd/{opened.fileno()}"), workers))
    [pid] = workers.pids
    # a name that means another file where the process was started
    monkeypatch.chdir(tmp_path / "folder")
    check_same(expected, recording_of(Path("a.wav"), workers))
    assert workers.pids == [pid]


def test_a_process_that_is_killed_costs_one_recording(workers: ReadWorkers, tmp_path: Path) -> None:
    file, other = write_babble(tmp_path / "a.wav", 600.0), write_babble(tmp_path / "b.wav", 1.0)
    recording_of(other, workers).close()
    [pid] = workers.pids
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(recording_of, file, workers)
        time.sleep(0.2)  # it is asked
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DeadWorkerError) as failed:
            reading.result()
    assert str(failed.value) == (
        f"{file}: the process that read it has ended (killed by SIGKILL) "
        "(where memory is short fewer --read-workers need less)"
    )
    check_same(recording_of(other), recording_of(other, workers))
    assert workers.pids != [pid]


def test_samples_stay_when_their_process_reads_on_or_is_gone(workers: ReadWorkers, tmp_path: Path) -> None:
    files = [
        write_babble(tmp_path / f"{number}.wav", 1.0 + 130 * (number % 2), number) for number in range(4)
    ]
    there = [recording_of(file, workers) for file in files]
    [pid] = workers.pids
    workers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert [one._held.in_memory for one in there] == [True, False] * 2
    for file, one in zip(files, there, strict=True):
        chunk = one.read(640, 9_000)
        check_same(recording_of(file), one)
        one.close()
        np.testing.assert_array_equal(chunk, recording_of(file).read(640, 9_000))


def test_a_process_may_have_no_more_open_files(workers: ReadWorkers, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    file = write_babble(tmp_path / "a.wav", 1.0)
    recording_of(file, workers).close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    pids = workers.pids
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(InputError, match=r"a\.wav: cannot be read: Too many open files \(raise"):
            recording_of(file, workers)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert workers.pids == pids  # it is not to blame
    check_same(recording_of(file), recording_of(file, workers))


def test_many_short_recordings_hold_no_file_open(workers: ReadWorkers, tmp_path: Path) -> None:
    file = write_babble(tmp_path / "a.wav", 0.5)
    recording_of(file, workers).close()
    before = os.dup(0)
    held = [recording_of(file, workers) for _ in range(9)]
    after = os.dup(0)
    os.close(before)
    os.close(after)
    assert len(held) == 9
    assert after == before + 1


def test_a_long_recording_gives_its_disk_back_when_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sewcli.reading.samples.MOST_IN_MEMORY", 1_000)
    kept = Samples()
    for _ in range(3):
        kept.append(np.ones(500, np.float32))
    kept.finish()
    there = Samples.received(os.dup(kept.fileno()), len(kept))
    np.testing.assert_array_equal(there.read(200, 1_500), np.ones(1_300, np.float32))
    child = os.fork()
    if not child:  # a fork that ends with what it has of its parent leaves that whole
        there.close()
        os._exit(0)
    os.waitpid(child, 0)
    np.testing.assert_array_equal(there.read(200, 1_500), np.ones(1_300, np.float32))
    there.close()
    assert os.fstat(kept.fileno()).st_size == 0
    kept.close()


def test_reading_that_is_given_up_leaves_no_process(workers: ReadWorkers, tmp_path: Path) -> None:
    file = write_babble(tmp_path / "a.wav", 20.0)
    with pytest.raises(AudioError, match="interrupted"):
        recording_of(file, cancelled=lambda: True)
    recording_of(file, workers).close()
    workers.close()
    assert workers.pids == []
    with pytest.raises(InputError, match="the run has ended"):
        recording_of(file, workers)


def test_how_many_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(wanted: int | None, device: str, cores: int) -> int | None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
        pool = read_workers(wanted, device)
        return None if pool is None else pool.count

    assert [count(None, "cuda:0", cores) for cores in (1, 2, 3, 9, 64)] == [None, 1, 2, 8, 16]
    assert [count(None, "cpu", cores) for cores in (1, 64)] == [None, None]
    assert [count(wanted, "cpu", 1) for wanted in (0, 1, 5)] == [None, 1, 5]
    for wrong in (-1, 1.5, "2"):
        with pytest.raises(UsageError, match="read_workers="):
            Options(ChunkPlan.from_seconds(20, 1), read_workers=wrong)  # type: ignore[arg-type]
    monkeypatch.setattr("sewcli.processes.pool.POSSIBLE", False)
    assert count(None, "cuda", 8) is None
    with pytest.raises(UsageError, match="needs a POSIX system"):
        Options(ChunkPlan.from_seconds(20, 1), read_workers=2)


def test_a_handful_of_files_beside_a_gpu_starts_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    file = write_babble(tmp_path / "a.wav", 1.0)
    pool = read_workers(None, "cuda")
    assert pool is not None
    for number in range(10):
        assert len(pool.pids) == (number > 8)
        recording_of(file, pool)
    pool.close()


def test_workers_load_neither_torch_nor_transformers(workers: ReadWorkers, tmp_path: Path) -> None:
    code = (
        "import sys, sewcli.reading.read_worker;"
        "print(sorted({'torch', 'transformers', 'librosa', 'typer', 'rich', 'av'} & sys.modules.keys()))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
    recording_of(write_babble(tmp_path / "a.wav", 1.0), workers)
    maps = Path(f"/proc/{workers.pids[0]}/maps")
    if maps.exists():
        assert "libsndfile" in maps.read_text()
        assert "torch" not in maps.read_text()

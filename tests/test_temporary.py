"""Temporary files: what a killed process leaves of them, and what becomes of a full disk."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Sew
from helpers import Logits, needs_pyctcdecode

from sewcli.acoustic.load import load_model
from sewcli.acoustic.running import RunningModel
from sewcli.chunking import ChunkPlan
from sewcli.consumers.embedder import Embedder
from sewcli.decoding import alignment, frames
from sewcli.decoding.frames import FrameFile
from sewcli.errors import InputError, SewError
from sewcli.evaluation import loss
from sewcli.hub.fetching import fetch
from sewcli.inputs.source import Source
from sewcli.pipeline.run import Options, run
from sewcli.reading import kept, samples
from sewcli.registry import resolve
from sewcli.results import Failure, ModelInfo

CLIPS = [
    Source(str(clip), clip)
    for clip in sorted((Path(__file__).parent.parent / "examples" / "speech").iterdir())
]
HOLDING = """
import sys
from sewcli.temporary import temporary_directory
with temporary_directory() as folder:
    (folder / "audio").write_bytes(bytes(1000))
    print(folder, flush=True)
    sys.stdin.read()
"""
TIDYING = "from sewcli.temporary import temporary_directory as t\nwith t(): pass"
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.mark.skipif(os.name != "posix", reason="needs locks of POSIX")
def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}

    def holding() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDING], env=environment, stdin=-1, stdout=-1, text=True
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    def killed() -> Path:
        process, folder = holding()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return folder

    old, new = killed(), killed()
    alive, held = holding()
    other = tmp_path / ".sew-other"  # of another program
    other.mkdir()
    for folder in (old, held, other):
        os.utime(folder, (0, 0))
    subprocess.run([sys.executable, "-c", TIDYING], env=environment, check=True)
    assert set(tmp_path.iterdir()) == {new, held, other}
    assert (held / "audio").read_bytes() == bytes(1000)
    alive.communicate("")
    assert set(tmp_path.iterdir()) == {new, other}


@pytest.fixture(scope="module")
def nano() -> RunningModel:
    return load_model(fetch(resolve("nano")), "ctc")


def full(buffering: int) -> Any:
    """A file on a disk that is full: what does not fit its buffer, or is flushed, fails."""
    return open("/dev/full", "r+b", buffering=buffering)  # noqa: PTH123


buffered = pytest.mark.parametrize("buffering", [0, 1 << 22], ids=["at once", "when it is flushed"])


@needs_full
@buffered
@pytest.mark.parametrize("use", [FrameFile.mapped, FrameFile.fileno])
def test_frames_tell_of_a_full_disk(
    use: Callable[[FrameFile], object], buffering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames.tempfile, "TemporaryFile", lambda **_: full(buffering))
    for error in (InputError, SewError):
        file = FrameFile(3, error=error)

        def fill(file: FrameFile = file) -> None:
            file.append(np.zeros((5, 3), np.float32))
            use(file)

        with pytest.raises(SewError, match=r"no room for the frames in .*No space left") as caught:
            fill()
        assert (type(caught.value), caught.value.code) == (error, "no_space")
        file.close()


@needs_full
@buffered
@pytest.mark.parametrize("which", ["frames", "audio"])
def test_a_full_disk_costs_the_recording_that_finds_it_so(
    nano: RunningModel, which: str, buffering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tempfile.TemporaryFile
    numbers = iter(range(len(CLIPS)))

    def made(prefix: str) -> Any:
        is_full = prefix == f"sew-{which}-" and next(numbers) == 2
        return full(buffering) if is_full else make(prefix=prefix)

    monkeypatch.setattr("tempfile.TemporaryFile", made)
    monkeypatch.setattr(samples, "MOST_IN_MEMORY", 5_000)
    results = list(
        run(
            CLIPS,
            nano,
            lambda: Embedder(nano.columns, None, "none", ModelInfo("nano"), {}),
            Options(ChunkPlan.from_seconds(1, 0.2), batch_seconds=3),
        )
    )
    assert [result.path for result in results] == [source.path for source in CLIPS]
    [failed] = [result for result in results if isinstance(result, Failure)]
    assert results.index(failed) == 2
    assert failed.code == "no_space"
    assert failed.message.startswith(f"{CLIPS[2].path}: no room for ")
    assert "set TMPDIR" in failed.message


@needs_full
@needs_pyctcdecode
def test_saved_logits_for_which_there_is_no_room_fail_alone(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sew("transcribe", audio, "-m", ctc, "--save-logits", tmp_path / "logits").code == 0
    make, numbers = tempfile.TemporaryFile, iter(range(3))

    def made(prefix: str) -> Any:
        return full(0) if prefix == "sew-frames-" and next(numbers) == 1 else make(prefix=prefix)

    monkeypatch.setattr("tempfile.TemporaryFile", made)
    options = ("--decoder", "beam", "--decode-workers", 0, "-f", "json")
    result = sew("decode", tmp_path / "logits", *options)
    assert result.code == 3, result.err
    assert [record.get("error", {}).get("code") for record in result.records] == [None, "no_space", None]
    [line] = [message for message in result.messages if "no room for" in message]
    assert "b.logits.safetensors: no room for the frames" in line


def test_a_recording_that_does_not_fit_the_memory_fails_alone(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that librosa holds as a whole."""
    read = kept.read_blocks

    def blocks(source: Source, *, engine: str) -> Any:
        if source == CLIPS[1]:
            raise MemoryError
        return read(source)

    monkeypatch.setattr(kept, "read_blocks", blocks)
    options = Options(ChunkPlan.from_seconds(20, 1), audio_engine="librosa")
    results = list(run(CLIPS[:3], nano, Logits, options))
    [failed] = [result for result in results if isinstance(result, Failure)]
    assert results.index(failed) == 1
    assert failed.code == "no_memory"
    assert failed.message.startswith(f"{CLIPS[1].path}: there is not enough memory to read it (--audio-eng")


@needs_full
def test_there_is_no_room_even_for_an_empty_file(nano: RunningModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frames.tempfile, "TemporaryFile", none)
    plan = Options(ChunkPlan.from_seconds(20, 1))
    results = list(
        run(CLIPS[:2], nano, lambda: Embedder(nano.columns, None, "none", ModelInfo("n"), {}), plan)
    )
    assert [result.code for result in results if isinstance(result, Failure)] == ["no_space"] * 2


@needs_full
@pytest.mark.parametrize("buffering", [0, 1 << 22])
def test_what_waits_for_an_alignment_or_a_loss_tells_of_a_full_disk(
    buffering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    posteriors = np.log(np.full((50, 4), 0.25, np.float32))
    monkeypatch.setattr(alignment.tempfile, "SpooledTemporaryFile", lambda **_: full(buffering))
    with pytest.raises(InputError, match="no room for the alignment"):
        alignment.align(posteriors, [1, 2], 0)
    monkeypatch.setattr(loss.tempfile, "SpooledTemporaryFile", lambda **_: full(buffering))
    kept = loss.LossOfRecording(None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no room for the posteriors"):
        kept.push(posteriors)
    kept.close()


def test_samples_that_the_disk_does_not_give_cost_their_recording(
    nano: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    make = tempfile.TemporaryFile
    numbers = iter(range(len(CLIPS)))
    monkeypatch.setattr(
        "tempfile.TemporaryFile", lambda **how: Broken() if next(numbers) == 1 else make(**how)
    )
    monkeypatch.setattr(samples, "MOST_IN_MEMORY", 5_000)
    results = list(run(CLIPS, nano, Logits, Options(ChunkPlan.from_seconds(20, 1), batch_seconds=10)))
    [failed] = [result for result in results if isinstance(result, Failure)]
    assert results.index(failed) == 1
    assert failed.message.startswith(f"{CLIPS[1].path}: cannot be read: Input/output error")

"""Measurements of whole runs: processes from start to end, and the decoding of audio."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sewcli.bench.material import model_directory, write_recording
from sewcli.bench.table import Table
from sewcli.bench.timing import medians, peak_megabytes, run_process, sew_command

#: transcribes files with the pipeline of transformers: model directory, batch size, chunk and stride in
#: seconds (0: those of the pipeline), threads, device, dtype, files. It decodes with ffmpeg, and where there
#: is none librosa does so for it; beside CUDA it always does, in the one process that the pipeline can have
_PIPELINE = """
import shutil
import sys
import torch
from transformers import pipeline
def decoded(files):
    import librosa
    for file in files:
        yield {"raw": librosa.load(file, sr=16000)[0], "sampling_rate": 16000}
model, batch, chunk, stride, threads, device, dtype, *files = sys.argv[1:]
torch.set_num_threads(int(threads))
asr = pipeline("automatic-speech-recognition", model=model, device=device, dtype=getattr(torch, dtype))
lengths = {"chunk_length_s": float(chunk)} if float(chunk) else {}
if float(stride):
    lengths["stride_length_s"] = float(stride)
beside = device.startswith("cuda") and sys.platform == "linux"
if beside:  # a generator goes along with no other way to start a process
    torch.multiprocessing.set_start_method("fork", force=True)
given = files if shutil.which("ffmpeg") and not beside else decoded(files)
for result in asr(given, batch_size=int(batch), num_workers=int(beside), **lengths):
    print(result["text"])
"""
#: seconds of the shortest and the longest of many files
_SHORT = (1.0, 15.0)
_IN_FLOAT32 = " (float32 where no other dtype is named)"
#: how often a card gets the list of files, or it would be through before it has warmed up
_CARD_TIMES = 25
#: batch sizes of the pipeline for many files on a CPU, and for all on a card
_BATCHES = (1, 8)
_CARD_BATCHES = (1, 8, 32, 64)


@dataclass(frozen=True)
class WholeOptions:
    """What is measured.

    Attributes:
        model: size (see `material.SIZES`) or model.
        repeats: rounds.
        threads: of torch.
        quick: a tenth of the audio.
        device: of both.
        dtypes: of sew, beside its default.
        compiled: see `load_model`.
    """

    model: str
    repeats: int
    threads: int
    quick: bool
    device: str
    dtypes: Sequence[str] = ()
    compiled: bool = False

    @property
    def others(self) -> list[str]:
        """The dtypes beside float32."""
        return [dtype for dtype in self.dtypes if dtype not in ("auto", "float32")]

    @property
    def on_card(self) -> bool:
        """Whether the network runs on a GPU."""
        return self.device != "cpu"

    def seconds(self, full: float) -> float:
        """Length of a recording."""
        return full / 10 if self.quick else full


def long_file(options: WholeOptions) -> Iterator[Table]:
    """One long recording, whole processes, against the pipeline of transformers."""
    seconds = options.seconds(600.0)
    with TemporaryDirectory(prefix="sew-bench-") as folder, model_directory(options.model) as local:
        file = write_recording(Path(folder) / "long.flac", seconds)
        runs = {
            **_transcriptions(options, local.directory, [file]),
            **_pipelines(options, local.directory, [file], (1,), chunk=30.0),
            **_pipelines(options, local.directory, [file], (1,), chunk=20.0, stride=1.0),
        }
        taken = _process_medians(runs.values(), options)
    title = f"A recording of {seconds / 60:g} min, {options.model}, whole processes{_IN_FLOAT32}."
    yield _against_first("long-file", title, list(runs), taken)


def many_files(options: WholeOptions) -> Iterator[Table]:
    """Many short files, whole processes, against the pipeline of transformers."""
    count = 20 if options.quick else 200
    with TemporaryDirectory(prefix="sew-bench-") as folder, model_directory(options.model) as local:
        files, _ = _short_files(Path(folder), count)
        files *= _CARD_TIMES if options.on_card else 1
        runs = _transcriptions(options, local.directory, files)
        runs |= _pipelines(options, local.directory, files, _BATCHES)
        taken = _process_medians(runs.values(), options)
    lengths = f"{_SHORT[0]:g} to {_SHORT[1]:g} s"
    title = f"{len(files)} files of {lengths}, {options.model}, whole processes{_IN_FLOAT32}."
    yield _against_first("many-files", title, list(runs), taken)


def start(options: WholeOptions) -> Iterator[Table]:
    """A cold run on ten seconds, against the pipeline and against importing torch."""
    with TemporaryDirectory(prefix="sew-bench-") as folder, model_directory(options.model) as local:
        file = write_recording(Path(folder) / "short.wav", 10.0)
        runs = {
            "sew transcribe": _transcribe(options, local.directory, [file]),
            "pipeline of transformers": _pipeline(options, local.directory, [file]),
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
            "sew --help": sew_command("--help"),
            "python -c pass": [sys.executable, "-c", "pass"],
        }
        taken = _process_medians(runs.values(), options)
    yield _against_first("start", f"From nothing to the text of 10 s, {options.model}.", list(runs), taken)


def audio(options: WholeOptions) -> Iterator[Table]:
    """Decoding to 16 kHz mono against librosa.load."""
    import librosa

    from sewcli.inputs.source import Source
    from sewcli.reading.recording import Recording

    seconds = options.seconds(3600.0)
    rows = []
    with TemporaryDirectory(prefix="sew-bench-") as folder:
        for suffix, rate, channels in (("flac", 44_100, 2), ("wav", 44_100, 2), ("flac", 16_000, 1)):
            file = write_recording(Path(folder) / f"{rate}.{suffix}", seconds, rate, channels)
            runs = [
                lambda file=file: Recording(Source(str(file), file)).close(),
                lambda file=file: librosa.load(file, sr=16_000, mono=True),
            ]
            ours, theirs = medians(runs, max(1, options.repeats // 2), warm_up=False)
            file.unlink()
            rows.append(
                (
                    f"{suffix}, {rate / 1000:g} kHz, {channels} channels",
                    f"{theirs:.2f}",
                    f"{ours:.2f}",
                    f"{theirs / ours:.2f}",
                )
            )
    title = f"Decoding {seconds / 60:g} min with the statistics of the waveform, against librosa.load."
    yield Table("audio", title, ("file", "librosa s", "sew s", "ratio"), tuple(rows))


def memory(options: WholeOptions) -> Iterator[Table]:
    """Peak memory and speed over lengths of a recording and numbers of files."""
    rows = []
    first: tuple[float, float] | None = None
    with TemporaryDirectory(prefix="sew-bench-") as folder, model_directory(options.model) as local:
        place = Path(folder)

        def measure(name: str, files: list[Path], seconds: float) -> None:
            nonlocal first
            began = time.perf_counter()
            peak = peak_megabytes(_transcribe(options, local.directory, files))
            speed = seconds / (time.perf_counter() - began)
            first = first or (peak, speed)
            rows.append((name, f"{peak:.0f}", f"{peak - first[0]:+.0f}", f"{speed / first[1]:.2f}"))

        for minutes in (1.0, 10.0, 60.0, 180.0):
            length = minutes * 60 if minutes == 1 else options.seconds(minutes * 60)
            measure(f"{length / 60:g} min", [write_recording(place / "long.flac", length)], length)
        for count in (10, 100, 400):
            files, seconds = _short_files(place, count // 5 if options.quick else count)
            measure(f"{len(files)} files", files, seconds)
    title = (
        f"One recording, or files of {_SHORT[0]:g} to {_SHORT[1]:g} s, {options.model}: peak memory, and "
        "speed over that of one minute, start-up included."
    )
    yield Table("memory", title, ("audio", "peak MB", "over 1 min, MB", "speed ratio"), tuple(rows))


def _short_files(folder: Path, count: int) -> tuple[list[Path], float]:
    """Files, and how many seconds they have together."""
    lengths = [float(length) for length in np.random.default_rng(0).uniform(*_SHORT, count)]
    files = [write_recording(folder / f"{number:03d}.flac", length) for number, length in enumerate(lengths)]
    return files, sum(lengths)


def _transcriptions(options: WholeOptions, model: Path, files: Sequence[Path]) -> dict[str, list[str]]:
    """Commands by what is told of them: sew by default, and in other dtypes."""
    others = {f"sew, {dtype}": _transcribe(options, model, files, dtype) for dtype in options.others}
    return {"sew, defaults": _transcribe(options, model, files), **others}


def _transcribe(options: WholeOptions, model: Path, files: Sequence[Path], dtype: str = "auto") -> list[str]:
    settings = ["--offline", "--no-progress", "--threads", str(options.threads), "--device", options.device]
    settings += ["--dtype", dtype, *(["--compile"] if options.compiled else [])]
    return sew_command("transcribe", "-m", str(model), *settings, *map(str, files))


def _pipelines(
    options: WholeOptions,
    model: Path,
    files: Sequence[Path],
    batches: Sequence[int],
    *,
    chunk: float = 0.0,
    stride: float = 0.0,
) -> dict[str, list[str]]:
    """Commands by what is told of them: the pipeline in several batch sizes, on a card in all dtypes too.

    Args:
        batches: their sizes on a CPU.
        chunk, stride: in seconds, 0 for those of the pipeline.
    """
    lengths = f", chunks of {chunk:g} s" if chunk else ""
    lengths += f", stride {stride:g} s" if stride else ""
    dtypes = ["float32", *(dtype for dtype in options.others if options.on_card and dtype != "int8")]
    return {
        f"pipeline{lengths}, batch {batch}" + (f", {dtype}" if dtype != "float32" else ""): _pipeline(
            options, model, files, batch=batch, chunk=chunk, stride=stride, dtype=dtype
        )
        for dtype in dtypes
        for batch in (_CARD_BATCHES if options.on_card else batches)
    }


def _pipeline(
    options: WholeOptions,
    model: Path,
    files: Sequence[Path],
    *,
    batch: int = 1,
    chunk: float = 0.0,
    stride: float = 0.0,
    dtype: str = "float32",
) -> list[str]:
    settings = [str(model), str(batch), str(chunk), str(stride), str(options.threads), options.device, dtype]
    return [sys.executable, "-c", _PIPELINE, *settings, *map(str, files)]


def _process_medians(commands: Iterable[list[str]], options: WholeOptions) -> list[float]:
    runs = [functools.partial(run_process, command) for command in commands]
    return medians(runs, options.repeats, warm_up=options.repeats > 1)


def _against_first(name: str, title: str, labels: list[str], taken: list[float]) -> Table:
    rows = [
        (label, f"{seconds:.2f}", f"{seconds / taken[0]:.2f}")
        for label, seconds in zip(labels, taken, strict=True)
    ]
    return Table(name, title, ("run", "seconds", f"over {labels[0]}"), tuple(rows))

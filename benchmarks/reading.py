"""What it costs to decode recordings in a process instead of a thread: `sewcli.reading.read_workers`.

    python benchmarks/reading.py FOLDER [--rounds 5]

FOLDER gets the recordings, noise as loud and soft as speech: 200 clips of 1 to 15 s, half WAV of 16 kHz,
half FLAC of 44.1 kHz, and one FLAC of 30 minutes. They are read whole, as the pipeline reads them, by one
thread and by one process in turns. Figures are medians over rounds of processor time, which other load hardly
changes; what a thread of this process takes beside a process bounds how many of those it can keep busy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from sewcli.inputs.source import Source
from sewcli.reading.read_workers import ReadWorkers
from sewcli.reading.recording import Recording

CLIPS = 200
MINUTES = 30


def sound(seconds: float, rate: int, seed: int) -> np.ndarray:
    """Tones whose loudness changes eight times a second, and noise."""
    generator = np.random.default_rng(seed)
    count = int(seconds * rate)
    loudness = np.repeat(generator.uniform(0, 0.3, count * 8 // rate + 1), rate // 8)
    loudness = np.resize(loudness, count)
    tone = np.sin(np.arange(count) * (2 * np.pi * 300 / rate))
    return (loudness * tone + 0.01 * generator.standard_normal(count)).astype(np.float32)


def make(folder: Path) -> tuple[list[Path], Path]:
    """The clips and the long recording, made where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number in range(CLIPS):
        rate, form = ((16_000, "wav"), (44_100, "flac"))[number % 2]
        clips.append(folder / f"{number:03}.{form}")
        if not clips[-1].exists():
            soundfile.write(clips[-1], sound(1 + number % 15, rate, number), rate)
    long = folder / "long.flac"
    if not long.exists():
        with soundfile.SoundFile(long, "w", 44_100, 1) as file:
            for minute in range(MINUTES):
                file.write(sound(60, 44_100, 1000 + minute))
    return clips, long


def seconds_to_read(files: Sequence[Path], workers: ReadWorkers | None = None) -> tuple[float, float]:
    """Processor time of this process and of the other one."""
    before = time.process_time(), _seconds_of(workers)
    for file in files:
        Recording(Source(str(file), file), workers=workers).close()
    return time.process_time() - before[0], _seconds_of(workers) - before[1]


def _seconds_of(workers: ReadWorkers | None) -> float:
    ticks = 0
    for pid in workers.pids if workers else []:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        ticks += int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description="A process instead of a thread for decoding.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    clips, long = make(options.folder)
    starts = []
    for _ in range(options.rounds):
        workers = ReadWorkers(1)
        starts.append(sum(seconds_to_read(clips[:1], workers)))
        workers.close()
    print(f"a process starts in {statistics.median(starts):.2f} s")
    workers = ReadWorkers(1)
    seconds_to_read(clips, workers)
    print("| recordings | thread | with a process | of these in the thread | ratio |")
    print("|---|---|---|---|---|")
    for name, files in ((f"{CLIPS} clips", clips), (f"one of {MINUTES} min", [long])):
        rounds = [(seconds_to_read(files), seconds_to_read(files, workers)) for _ in range(options.rounds)]
        alone = statistics.median(here for (here, _), _ in rounds)
        thread = statistics.median(here for _, (here, _) in rounds)
        both = statistics.median(here + there for _, (here, there) in rounds)
        print(f"| {name} | {alone:.2f} s | {both:.2f} s | {thread:.2f} s | {both / alone:.2f} |")
    workers.close()


if __name__ == "__main__":
    main()

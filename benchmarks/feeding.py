"""How much audio one process can hand to a network, and take back, beside a card: docs/gpu.md.

    python benchmarks/feeding.py FOLDER [--clips 600] [--rounds 3] [--profile]

FOLDER gets clips of 1 to 15 s, WAV and FLAC of 16 kHz. They are transcribed as `sew transcribe -f json` does
it on a card, with a network that takes no time: its logits are there before. What is left is reading in other
processes and, in this one, batches, decoding and JSON. Figures are processor time of this process, which
bounds how fast a card it can feed, and of those that read, medians over rounds.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import math
import pstats
import resource
import statistics
import time
from collections import deque
from pathlib import Path

import numpy as np
import soundfile
import torch
from reading import sound

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.checkpoint import inspect
from sewcli.acoustic.running import RunningModel
from sewcli.acoustic.transfers import Transfers
from sewcli.chunking import HOP, ChunkPlan
from sewcli.decoding.options import DecodingOptions
from sewcli.hub.fetching import LocalModel, fetch
from sewcli.inputs.source import Source
from sewcli.pipeline.run import Options
from sewcli.registry import resolve
from sewcli.results import Failure
from sewcli.tasks.transcribing import Transcribing
from sewcli.writers.jsonl import as_object, dump

#: one frame in so many begins a token, as in speech
FRAMES_A_TOKEN = 6
#: tensors of one dtype that take turns
HELD = 4


class Reusing(Transfers):
    """Gives memory out again and again, as torch does with that from which a card copies."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self._held: dict[torch.dtype, deque[torch.Tensor]] = {}

    def empty(self, shape: tuple[int, ...], /, *, dtype: torch.dtype) -> torch.Tensor:
        held = self._held.setdefault(dtype, deque(torch.empty(0, dtype=dtype) for _ in range(HELD)))
        tensor, count = held.popleft(), math.prod(shape)
        if tensor.numel() < count:
            tensor = torch.empty(count, dtype=dtype)
        held.append(tensor)
        return tensor[:count].view(shape)


class Instant(RunningModel):
    """A network that takes no time, beside which the pipeline does what it does beside a card."""

    engine = "instant"
    layers = 0

    def __init__(self, local: LocalModel) -> None:
        checkpoint = inspect(local.directory, "ctc")
        columns = int(checkpoint.config["vocab_size"])
        super().__init__(checkpoint, (), columns, torch.device("cpu"), torch.float32, torch.float32)
        self.device = "instant"
        self._transfers = Reusing()
        self.head_bias = np.zeros(columns, np.float32)
        generator = torch.Generator().manual_seed(0)
        frames = 3000
        logits = torch.randn(frames, columns, generator=generator)
        logits[:, int(checkpoint.config.get("pad_token_id", 0))] += 8
        spoken = torch.arange(0, frames, FRAMES_A_TOKEN)
        logits[spoken, torch.randint(4, columns, spoken.shape, generator=generator)] += 16
        self._prepared = logits

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits that were there before."""
        rows, width = batch.samples.shape
        return self._prepared[: width // HOP].expand(rows, -1, -1)


def make(folder: Path, count: int) -> list[Path]:
    """The clips, made where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number in range(count):
        clips.append(folder / f"{number:05}.{('wav', 'flac')[number % 2]}")
        if not clips[-1].exists():
            soundfile.write(clips[-1], sound(1 + number % 15, 16_000, number), 16_000)
    return clips


def feed(local: LocalModel, network: Instant, clips: list[Path]) -> tuple[float, float, float, float]:
    """Seconds of audio, of the clock, of this process and of the ones that read."""
    options = Options(ChunkPlan.from_seconds(20.0, 1.0), batch_seconds=960.0, read_workers=2)
    task = Transcribing(local, network, DecodingOptions(), options, "word")
    before = time.perf_counter(), time.process_time(), _seconds_of_children()
    audio = 0.0
    for result in task.results(Source(str(clip), clip) for clip in clips):
        if isinstance(result, Failure):
            raise SystemExit(result.message)
        audio += result.duration
        dump(as_object(result))
    # the processes that read have ended with the results
    after = time.perf_counter(), time.process_time(), _seconds_of_children()
    clock, here, there = (later - earlier for earlier, later in zip(before, after, strict=True))
    return audio, clock, here, there


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast a network one process can feed.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="of the thread that feeds the network")
    options = parser.parse_args()
    clips = make(options.folder, options.clips)
    local = fetch(resolve("nano"))
    network = Instant(local)
    for _ in range(2):  # all memory is taken once
        feed(local, network, clips)
    gc.freeze()  # as the command does
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(feed, local, network, clips)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return
    rounds = [feed(local, network, clips) for _ in range(options.rounds)]
    audio, clock, here, there = (statistics.median(column) for column in zip(*rounds, strict=True))
    print("| seconds of audio | a second | for each of this process | for each of those that read |")
    print("|---|---|---|---|")
    print(f"| {audio:.0f} | {audio / clock:.0f} | {audio / here:.0f} | {audio / there:.0f} |")


if __name__ == "__main__":
    main()

"""What beam search takes, as ratios to a network of the size of sew-tiny on the same audio.

    python benchmarks/beam.py dev.jsonl [--clips 40] [--rounds 3]

The logits are those of nano on clips drawn from the manifest, the network is sew-tiny with random weights in
the fast engine, float32. Network and searches take turns clip by clip, on one thread; a figure is the median
over rounds of the processor time for all clips, which other load on the machine hardly changes. In the last
column the frames of all clips are one recording, which is searched in pieces of up to a minute.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.audio import SAMPLE_RATE, read_blocks
from sewcli.bench.material import model_directory
from sewcli.decoding.decoders import decoders
from sewcli.decoding.options import DecodingOptions
from sewcli.decoding.vocabulary import load_vocabulary
from sewcli.hub.fetching import fetch
from sewcli.inputs.manifest import read_manifest
from sewcli.registry import resolve

SEARCHES = {
    "greedy": DecodingOptions(),
    "beam 100": DecodingOptions(decoder="beam", beam_width=100),
    "beam 100, hotword": DecodingOptions(decoder="beam", beam_width=100, hotwords=("VOYAGER",)),
    "beam 100, --lm builtin": DecodingOptions(decoder="beam", beam_width=100, lm="builtin"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = random.Random(0).sample(read_manifest(given.manifest, task="ctc"), given.clips)
    sounds = [np.concatenate(list(read_blocks(row.source))) for row in rows]
    clips = [Segment(sound, wave_statistics(sound)) for sound in sounds]
    seconds = sum(sound.size for sound in sounds) / SAMPLE_RATE
    local = fetch(resolve("nano"))
    nano = load_model(local, "ctc", device="cpu")
    vocabulary = load_vocabulary(local.directory, nano.columns)
    logits = [nano([clip])[0] for clip in clips]
    with model_directory("sew-tiny") as directory:
        network = load_model(directory, "ctc", engine="fast", device="cpu")
    decoders = {
        (name, times): decoders(options, vocabulary, times=times)[0]
        for name, options in SEARCHES.items()
        for times in (False, True)
    }

    def searched(decoder: Callable[[], object], frames: np.ndarray) -> None:
        one = decoder()
        one.push(frames)
        one.finish()
        one.close()

    network(clips[:1])
    names = ("network", *decoders, *((name, "joined") for name in SEARCHES))
    taken: dict[object, list[float]] = {name: [] for name in names}
    for _ in range(given.rounds):
        sums = dict.fromkeys(taken, 0.0)
        for clip, frames in zip(clips, logits, strict=True):
            sums["network"] += timed(partial(network, [clip]))
            for name, decoder in decoders.items():
                sums[name] += timed(partial(searched, decoder, frames))
        for name in SEARCHES:
            sums[name, "joined"] = timed(partial(searched, decoders[name, False], np.concatenate(logits)))
        for name, total in sums.items():
            taken[name].append(total)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    base = medians["network"]
    cost = 1000 * base / seconds
    print(f"{given.clips} clips, {seconds:.0f} s; sew-tiny: {cost:.1f} ms a second of audio\n")
    print("| decoder | ms a second of audio | over the network | with word times | one recording |")
    print("|---|---|---|---|---|")
    for name in SEARCHES:
        plain, *others = (medians[name, kind] for kind in (False, True, "joined"))
        ratios = " | ".join(f"{one / base:.2f}" for one in (plain, *others))
        print(f"| {name} | {1000 * plain / seconds:.1f} | {ratios} |")


def timed(run: Callable[[], object]) -> float:
    """Seconds of processor time that a call takes."""
    started = time.process_time()
    run()
    return time.process_time() - started


if __name__ == "__main__":
    main()

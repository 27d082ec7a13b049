"""What --vad gains in time and costs in characters, on recordings with long silences.

    python benchmarks/silence.py test.jsonl noise/ [model]

Clips of each set are joined with silences of 2 to 20 s between them, under noise 25 dB below the speech, and
transcribed without and with --vad.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

import sewcli
from sewcli.audio import SAMPLE_RATE, read_blocks
from sewcli.evaluation import Scored, error_rates
from sewcli.inputs.manifest import Row, read_manifest
from sewcli.inputs.source import Source
from sewcli.reading.activity import LevelMeter, active, pieces
from sewcli.reading.activity_options import ActivityOptions

#: clips of a recording, and recordings a set
CLIPS, RECORDINGS = 8, 3
BELOW = 25.0


def joined(rows: list[Row], noise: np.ndarray, rng: random.Random) -> np.ndarray:
    parts = []
    for row in rows:
        samples = np.concatenate(list(read_blocks(row.source)))
        silence = np.zeros(round(rng.uniform(2, 20) * SAMPLE_RATE), np.float32)
        parts += [silence, samples * np.float32(0.5 / np.abs(samples).max())]
    speech = np.concatenate(parts)
    loud = np.sqrt(np.mean(speech[speech != 0].astype(np.float64) ** 2))
    bed = np.resize(np.roll(noise, -rng.randrange(noise.size)), speech.size)
    bed = bed * np.float32(10 ** (-BELOW / 20) * loud / np.sqrt(np.mean(bed.astype(np.float64) ** 2)))
    return (speech + bed).clip(-1, 1)


def kept(samples: np.ndarray) -> float:
    meter = LevelMeter()
    meter.update(samples)
    read = pieces(active(meter.finish(), ActivityOptions()), samples.size)
    return sum(stop - start for start, stop in read) / samples.size


def recordings(manifest: Path, noise: Path, folder: Path) -> Iterator[tuple[str, Path, str]]:
    rng = random.Random(0)
    rows = read_manifest(manifest, task="ctc")
    noises = [
        np.concatenate(list(read_blocks(Source(str(file), file))))
        for file in sorted(noise.glob("*.flac"))
        if "rir" not in file.name
    ]
    for name in sorted({row.set for row in rows}):
        own = [row for row in rows if row.set == name]
        rng.shuffle(own)
        for number in range(RECORDINGS):
            part = own[number * CLIPS : (number + 1) * CLIPS]
            file = folder / f"{name}-{number}.wav"
            soundfile.write(file, joined(part, rng.choice(noises), rng), SAMPLE_RATE)
            yield name, file, " ".join(row.text or "" for row in part)


def main() -> None:
    if len(sys.argv) < 3 or {"-h", "--help"} & {*sys.argv[1:]}:
        print(__doc__)
        return
    manifest, noise, *rest = sys.argv[1:]
    model = sewcli.load(*rest, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        made = list(recordings(Path(manifest), Path(noise), Path(folder)))
        model.transcribe(made[0][1])  # the first run is slower
        print("| set | audio s | kept % | CPU s without | CPU s with | CER % without | CER % with |")
        print("|---|---|---|---|---|---|---|")
        for name in [*sorted({name for name, _, _ in made}), "all"]:
            own = [(file, text) for part, file, text in made if name in (part, "all")]
            sounds = [soundfile.read(file, dtype="float32")[0] for file, _ in own]
            seconds = sum(sound.size for sound in sounds) / SAMPLE_RATE
            share = sum(kept(sound) * sound.size for sound in sounds) / sum(sound.size for sound in sounds)
            times, rates = [], []
            for vad in (False, True):
                started = time.process_time()
                texts = [model.transcribe(file, vad=vad).text for file, _ in own]
                times.append(time.process_time() - started)
                rates.append(
                    error_rates(Scored(said, text, "") for (_, said), text in zip(own, texts, strict=True))
                )
            print(
                f"| {name} | {seconds:.0f} | {100 * share:.0f} | {times[0]:.1f} | {times[1]:.1f} "
                f"| {100 * rates[0]['cer']:.1f} | {100 * rates[1]['cer']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

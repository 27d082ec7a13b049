"""Makes training speech out of text with flite and espeak-ng: clips and their manifest.

    python recipes/synthesise.py sentences.txt.gz -o speech/synthetic --hours 8

Each sentence is read by a voice, at a speed and a pitch drawn from the seed and the number of the
sentence, so the same call makes the same clips. The programs come from Debian: flite, espeak-ng.

    python recipes/synthesise.py labels.txt -o speech/keywords --labels 40

makes 40 clips of every line instead, the line being their label.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000
#: voice and its share of the clips: the three of flite that were built from recordings count most
FLITE = {"slt": 5, "rms": 5, "awb": 3, "kal16": 1}
ESPEAK = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-us-nyc")
ESPEAK_SHARE = 6
ESPEAK_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
WORDS = range(2, 17)
#: part of full scale the loudest sample of a clip reaches
PEAK = 0.5


def command(sentence: str, rng: random.Random) -> tuple[str, list[str]]:
    """A voice's name and the command that has it read `sentence` (WAV on standard output)."""
    names = [*FLITE, "espeak"]
    name = rng.choices(names, [*FLITE.values(), ESPEAK_SHARE])[0]
    text = sentence.capitalize()
    if name != "espeak":
        stretch, pitch = rng.uniform(0.85, 1.2), rng.uniform(0.85, 1.2)
        mean = {"slt": 175, "rms": 100, "awb": 135, "kal16": 105}[name] * pitch
        changes = ["--setf", f"duration_stretch={stretch:.2f}", "--setf", f"int_f0_target_mean={mean:.0f}"]
        return name, ["flite", "-voice", name, *changes, "-t", text, "-o", "/dev/stdout"]
    voice = f"{rng.choice(ESPEAK)}+{rng.choice(ESPEAK_VARIANTS)}"
    manner = ["-s", str(rng.randint(130, 185)), "-p", str(rng.randint(25, 75))]
    return voice, ["espeak-ng", "-v", voice, *manner, "--stdout", text]


def speak(sentence: str, number: int, seed: int, target: Path) -> tuple[str, float] | None:
    """Write the clip of a sentence; the voice and the duration in seconds, None where nothing came."""
    rng = random.Random(seed * 1_000_003 + number)
    name, arguments = command(sentence, rng)
    done = subprocess.run(arguments, capture_output=True, check=False)
    try:
        samples, rate = soundfile.read(io.BytesIO(_sized(done.stdout)), dtype="float32")
    except soundfile.LibsndfileError:
        return None
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest == 0.0:
        return None
    soundfile.write(target, samples * (PEAK / loudest), SAMPLE_RATE, subtype="PCM_16")
    return name, samples.size / SAMPLE_RATE


def _sized(wav: bytes) -> bytes:
    """The WAV with the true length of its data: programs that write to a pipe leave it open."""
    start = wav.find(b"data") + 8
    if start < 8:
        return wav
    return wav[: start - 4] + (len(wav) - start).to_bytes(4, "little") + wav[start:]


def lines(path: Path) -> list[str]:
    """The lines of a file that hold something; .gz is read too."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def sentences(paths: list[Path], seed: int) -> list[str]:
    """The sentences of all files in a random order: upper case, of 2 to 16 words, each once."""
    found = {line.upper().replace("\u2019", "'") for path in paths for line in lines(path)}
    good = [line for line in sorted(found) if re.fullmatch(r"[A-Z' ]+", line) and len(line.split()) in WORDS]
    random.Random(seed).shuffle(good)
    return good


def main() -> None:
    """Read the arguments and make the clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("text", nargs="+", type=Path, help="one sentence a line; .gz is read too")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--labels", type=int, metavar="N", help="make N clips of every line, a label")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if missing := [program for program in ("flite", "espeak-ng") if shutil.which(program) is None]:
        raise SystemExit(f"{' and '.join(missing)} not installed (Debian: apt install flite espeak-ng)")
    options.output.mkdir(parents=True, exist_ok=True)
    if options.labels:
        texts = [line for path in options.text for line in lines(path)] * options.labels
    else:
        texts = sentences(options.text, options.seed)
    seconds = 0.0
    # under its own name once it is whole: recipes/embedded.py makes what has none
    unfinished = options.output / "manifest.jsonl.tmp"
    clips = [options.output / f"{number:06d}.flac" for number in range(len(texts))]
    with (
        ThreadPoolExecutor(options.workers) as pool,
        unfinished.open("w", encoding="utf-8") as manifest,
    ):
        block = 64
        for start in range(0, len(texts), block):
            part = range(start, min(start + block, len(texts)))
            made = pool.map(lambda n: speak(texts[n], n, options.seed, clips[n]), part)
            for number, result in zip(part, made, strict=True):
                if result is None:
                    continue
                voice, duration = result
                row = {
                    "audio_filepath": clips[number].name,
                    "duration": round(duration, 3),
                    "label" if options.labels else "text": texts[number],
                    "speaker": voice,
                    "set": "synthetic",
                }
                manifest.write(json.dumps(row) + "\n")
                seconds += duration
            print(f"\r{seconds / 3600:.2f} h", end="", flush=True)
            if seconds >= options.hours * 3600:
                break
    unfinished.replace(options.output / "manifest.jsonl")
    print()


if __name__ == "__main__":
    main()

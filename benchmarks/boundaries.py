"""How far the word times of `sew align` lie from known boundaries.

    python benchmarks/boundaries.py dev.jsonl keywords-dev.jsonl keywords-test.jsonl [-m nano] [--raw]

Words of the first manifest are synthesised one by one (flite, espeak-ng) and joined with pauses of 0.1 to
0.4 s; digit clips (labels zero ... nine) of the two others are joined in the same way. A word begins and
ends where its clip does, its quiet edges cut off. A row of the table is one material: median signed errors
of starts and ends (positive: the model is late), and the median absolute error of both. --raw leaves out
the correction of the model's entry in models.toml; its values come from the rows named dev.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from sewcli.acoustic.load import load_model
from sewcli.audio import SAMPLE_RATE, read_blocks
from sewcli.chunking import ChunkPlan
from sewcli.consumers.aligner import Aligner
from sewcli.decoding.vocabulary import load_vocabulary
from sewcli.hub.fetching import fetch
from sewcli.inputs.manifest import Row, read_manifest
from sewcli.inputs.source import Source
from sewcli.pipeline.run import Options, run
from sewcli.registry import resolve
from sewcli.results import Transcript
from sewcli.tasks.shared import model_info

Samples = NDArray[np.float32]
RECORDINGS, WORDS = 12, 12
#: what is this far below the loudest 10 ms of a clip is its quiet edge (dB)
EDGE = 30.0
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Recording:
    """Words joined with pauses, and where each begins and ends, in seconds."""

    samples: Samples
    words: list[tuple[str, float, float]]


def trimmed(samples: Samples) -> Samples:
    step = SAMPLE_RATE // 100
    frames = samples[: samples.size // step * step].reshape(-1, step).astype(np.float64)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-10)
    loud = np.flatnonzero(level > level.max() - EDGE)
    cut = samples[int(loud[0]) * step : (int(loud[-1]) + 1) * step]
    return cut * np.float32(0.5 / np.abs(cut).max())


def joined(clips: list[tuple[str, Samples]], rng: random.Random) -> Recording:
    noise = np.random.default_rng(rng.randrange(1 << 30))
    pieces, words, at = [], [], 0
    for word, clip in clips:
        pause = round(rng.uniform(0.1, 0.4) * SAMPLE_RATE)
        words.append((word, (at + pause) / SAMPLE_RATE, (at + pause + clip.size) / SAMPLE_RATE))
        pieces += [np.zeros(pause, np.float32), clip]
        at += pause + clip.size
    pieces.append(np.zeros(SAMPLE_RATE // 4, np.float32))
    whole = np.concatenate(pieces)
    return Recording(whole + 1e-3 * noise.standard_normal(whole.size).astype(np.float32), words)


def spoken(command: list[str]) -> Samples:
    made = subprocess.run(command, capture_output=True, check=True).stdout
    start = made.find(b"data") + 8  # programs that write to a pipe leave the size open
    sized = made[: start - 4] + (len(made) - start).to_bytes(4, "little") + made[start:]
    samples, rate = soundfile.read(io.BytesIO(sized), dtype="float32")
    return trimmed(soxr.resample(samples, rate, SAMPLE_RATE) if rate != SAMPLE_RATE else samples)


def flite(voice: str) -> Callable[[str], Samples]:
    return lambda word: spoken(["flite", "-voice", voice, "-t", word, "-o", "/dev/stdout"])


def espeak(voice: str) -> Callable[[str], Samples]:
    return lambda word: spoken(["espeak-ng", "-v", voice, "--stdout", word])


def synthesised(words: list[str], say: Callable[[str], Samples], seed: int) -> Iterator[Recording]:
    rng = random.Random(seed)
    for _ in range(RECORDINGS):
        yield joined([(word, say(word)) for word in rng.sample(words, WORDS)], rng)


def digits(rows: list[Row], seed: int) -> Iterator[Recording]:
    rng = random.Random(seed)
    rng.shuffle(rows)
    for start in range(0, min(len(rows), RECORDINGS * WORDS) // WORDS * WORDS, WORDS):
        part = rows[start : start + WORDS]
        clips = [(row.label or "", trimmed(np.concatenate(list(read_blocks(row.source))))) for row in part]
        yield joined(clips, rng)


def errors(recordings: list[Recording], model: str, *, raw: bool) -> NDArray[np.float64]:
    """Errors of starts and ends in milliseconds, shape (words, 2)."""
    local = fetch(resolve(model))
    if raw:
        local = replace(local, spec=replace(local.spec, start_offset=0.0, end_offset=0.0))
    network = load_model(local, "ctc")
    vocabulary = load_vocabulary(local.directory, network.columns)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        for number, one in enumerate(recordings):
            file = Path(folder) / f"{number}.wav"
            soundfile.write(file, one.samples, SAMPLE_RATE)
            text = " ".join(word for word, _, _ in one.words)
            sources.append(Source(str(file), file, text=text))
        info = model_info(local)
        results = run(
            sources,
            network,
            lambda: Aligner(vocabulary, info, {}, "word", 0.0),
            Options(ChunkPlan.from_seconds(20, 1)),
        )
        for result, one in zip(results, recordings, strict=True):
            assert isinstance(result, Transcript)
            assert result.words is not None
            found += [
                (span.start - start, span.end - end)
                for span, (_, start, end) in zip(result.words, one.words, strict=True)
            ]
    return 1000 * np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("keywords_dev", type=Path)
    parser.add_argument("keywords_test", type=Path)
    parser.add_argument("-m", "--model", default="nano")
    parser.add_argument("--raw", action="store_true")
    options = parser.parse_args()
    texts = " ".join(row.text or "" for row in read_manifest(options.texts)).lower()
    words = sorted({word for word in re.findall(r"[a-z]+", texts) if len(word) > 2})
    random.Random(0).shuffle(words)
    half = len(words) // 2
    spoken_digits = [
        [row for row in read_manifest(file, task="classification") if row.label in DIGITS]
        for file in (options.keywords_dev, options.keywords_test)
    ]
    materials = {
        "dev: flite slt": synthesised(words[:half], flite("slt"), 0),
        "dev: espeak-ng en-us": synthesised(words[:half], espeak("en-us"), 1),
        "dev: digits": digits(spoken_digits[0], 2),
        "flite rms": synthesised(words[half:], flite("rms"), 3),
        "flite awb": synthesised(words[half:], flite("awb"), 4),
        "espeak-ng en-gb+f2": synthesised(words[half:], espeak("en-gb+f2"), 5),
        "digits, another speaker": digits(spoken_digits[1], 6),
    }
    print(
        "| material | words | starts ms | ends ms | median absolute ms | within 100 ms |\n" + "|---" * 6 + "|"
    )
    for name, recordings in materials.items():
        off = errors(list(recordings), options.model, raw=options.raw)
        start, end = np.median(off, axis=0)
        within = 100 * np.mean(np.abs(off) <= 100)
        row = f"{len(off)} | {start:+.0f} | {end:+.0f} | {np.median(np.abs(off)):.0f} | {within:.0f} %"
        print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()

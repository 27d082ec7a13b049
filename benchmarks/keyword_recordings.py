"""Makes long recordings with keywords in them, and the manifest that says where.

    python benchmarks/keyword_recordings.py keywords-test.jsonl test.jsonl noise/ -o spotting/ --minutes 30
    sew evaluate spotting/manifest.jsonl --window 1.0

Keyword clips are drawn from the first manifest and put among clips of other speech (of the second one, with
texts that hold none of the keywords), noise and pauses; each clip is used once. Everything follows from the
seed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from sewcli.audio import SAMPLE_RATE, read_blocks
from sewcli.inputs.manifest import Row, read_manifest
from sewcli.inputs.source import Source

Samples = NDArray[np.float32]
#: seconds of one recording
LENGTH = 300.0
#: what the loudest sample of a clip is brought to, and how far below speech the noise lies (dB)
PEAK = 0.5
NOISE_BELOW = (15.0, 30.0)
#: a keyword clip has quiet around its word: what is this far below its loudest 20 ms is not the word (dB)
SPEECH_BELOW = 25.0


def load(source: Source) -> Samples:
    samples = np.concatenate(list(read_blocks(source)))
    return samples * np.float32(PEAK / max(float(np.abs(samples).max()), 1e-6))


def spoken(samples: Samples) -> tuple[int, int]:
    """From where to where a keyword clip is loud."""
    step = SAMPLE_RATE // 50
    frames = samples[: samples.size // step * step].reshape(-1, step).astype(np.float64)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-10)
    loud = np.flatnonzero(level > level.max() - SPEECH_BELOW)
    return int(loud[0]) * step, (int(loud[-1]) + 1) * step


class Maker:
    """Puts clips one after the other.

    Args:
        keywords, speech: rows of the manifests, in random order.
        noises: files of noise.
        rng: the source of all choices.
    """

    def __init__(
        self, keywords: list[Row], speech: list[Row], noises: list[Path], rng: random.Random
    ) -> None:
        self._keywords = keywords
        self._speech = speech
        self._noises = [load(Source(str(file), file)) for file in noises]
        self._rng = rng

    def recording(self) -> tuple[Samples, list[dict[str, object]]]:
        """One recording and its keywords."""
        pieces: list[Samples] = []
        events: list[dict[str, object]] = []
        at = 0
        while at < LENGTH * SAMPLE_RATE and self._speech and self._keywords:
            kind = self._rng.choices(["speech", "keyword", "pause"], [4, 3, 2])[0]
            if kind == "pause":
                clip = np.zeros(round(self._rng.uniform(0.2, 5.0) * SAMPLE_RATE), dtype=np.float32)
            elif kind == "speech":
                clip = load(self._speech.pop().source)
            else:
                row = self._keywords.pop()
                clip = load(row.source)
                start, end = ((at + edge) / SAMPLE_RATE for edge in spoken(clip))
                events.append({"label": row.label, "start": round(start, 3), "end": round(end, 3)})
            gap = np.zeros(round(self._rng.uniform(0.1, 0.6) * SAMPLE_RATE), dtype=np.float32)
            pieces += [clip, gap]
            at += clip.size + gap.size
        return self._with_noise(np.concatenate(pieces)), events

    def _with_noise(self, samples: Samples) -> Samples:
        noise = self._rng.choice(self._noises)
        start = self._rng.randrange(noise.size)
        bed = np.resize(np.roll(noise, -start), samples.size)
        loud = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
        rms = np.sqrt(np.mean(bed.astype(np.float64) ** 2))
        factor = 10 ** (-self._rng.uniform(*NOISE_BELOW) / 20) * loud / rms
        mixed: Samples = (samples + np.float32(factor) * bed).clip(-1, 1).astype(np.float32)
        return mixed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("keywords", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("noise", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    keywords = read_manifest(options.keywords, task="classification")
    labels = {word for row in keywords for word in (row.label or "").split()}
    speech = [
        row
        for row in read_manifest(options.speech, task="ctc")
        if not labels & set(re.findall(r"[a-z']+", (row.text or "").lower()))
    ]
    rng.shuffle(keywords)
    rng.shuffle(speech)
    noises = sorted(file for file in options.noise.glob("*.flac") if "rir" not in file.name)
    maker = Maker(keywords, speech, noises, rng)
    options.output.mkdir(parents=True, exist_ok=True)
    seconds, number = 0.0, 0
    with (options.output / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        while seconds < options.minutes * 60:
            samples, events = maker.recording()
            name = f"{number:03d}.flac"
            soundfile.write(options.output / name, samples, SAMPLE_RATE, subtype="PCM_16")
            duration = round(samples.size / SAMPLE_RATE, 3)
            row = {"audio_filepath": name, "duration": duration, "events": events}
            manifest.write(json.dumps(row) + "\n")
            seconds, number = seconds + duration, number + 1
            if duration < LENGTH:
                break  # the clips are used up
    print(f"{number} recordings, {seconds / 60:.1f} min")


if __name__ == "__main__":
    main()

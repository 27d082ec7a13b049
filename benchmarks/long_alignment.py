"""What `sew align` takes for one hour of speech and its text, beyond the network.

    python benchmarks/long_alignment.py train.jsonl [--hours 1]

Clips of the manifest are joined to one recording, their texts to one text. `sew align` and `sew transcribe`
with greedy decoding, which is the network alone, run in processes of their own: seconds of the clock and of
the processor, and the most memory that was resident.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from sewcli.audio import SAMPLE_RATE, read_blocks
from sewcli.inputs.manifest import read_manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--hours", type=float, default=1.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        audio, text = Path(folder) / "long.flac", Path(folder) / "long.txt"
        words, starts = join(given.manifest, given.hours * 3600, audio, text)
        print(f"{given.hours:g} h, {words} words\n")
        print("| run | wall s | CPU s | peak MB |")
        print("|---|---|---|---|")
        options = [str(audio), "--threads", "1", "--no-progress", "-q"]
        network = measured("transcribe", *options, "--timestamps", "none")
        aligned = Path(folder) / "aligned.ctm"
        whole = measured("align", *options, "--text-file", str(text), "-f", "ctm", out=aligned)
        for name, row in (("sew transcribe", network), ("sew align", whole)):
            print(f"| {name} | {row[0]:.1f} | {row[1]:.1f} | {row[2]:.0f} |")
        more = [one - other for one, other in zip(whole, network, strict=True)]
        print(f"| beyond the network | {more[0]:.1f} | {more[1]:.1f} | {more[2]:.0f} |")
        found = [float(line.split()[2]) for line in aligned.read_text().splitlines()]
        assert len(found) == words
        off = np.abs([found[word] - begin for word, begin in starts])
        print(
            f"\nfirst words of clips, from where their clip begins: median {np.median(off):.2f} s, "
            f"90 % within {np.quantile(off, 0.9):.2f} s, at most {off.max():.1f} s"
        )


def join(manifest: Path, seconds: float, audio: Path, text: Path) -> tuple[int, list[tuple[int, float]]]:
    """Write recording and text; the number of words, and the first word of each clip with its time."""
    rows = read_manifest(manifest, task="ctc", skip_bad=True)
    random.Random(0).shuffle(rows)
    done, spoken, starts = 0, [], []
    with soundfile.SoundFile(audio, "w", SAMPLE_RATE, 1) as file:
        for row in rows:
            if done >= seconds * SAMPLE_RATE:
                break
            samples = np.concatenate(list(read_blocks(row.source)))
            file.write(samples * np.float32(0.5 / max(1e-3, np.abs(samples).max())))
            starts.append((len(spoken), done / SAMPLE_RATE))
            spoken += row.text.split()
            done += samples.size
    if done < seconds * SAMPLE_RATE:
        sys.exit(f"{manifest} has only {done / SAMPLE_RATE / 3600:.2f} h")
    text.write_text(" ".join(spoken))
    return len(spoken), starts


def measured(*arguments: str, out: Path | None = None) -> tuple[float, float, float]:
    """Seconds of the clock, of the processor, and megabytes at the peak of one run of sew."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        target = os.open(out or os.devnull, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(target, 1)
        os.execv(sys.executable, [sys.executable, "-m", "sewcli", *arguments])
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"sew {arguments[0]} has failed")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()

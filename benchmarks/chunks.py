"""Error rates over chunk, stride and the reach of the statistics, on long recordings.

python benchmarks/chunks.py MANIFEST [MODEL]

The clips of each set of the manifest (with the speaker as `set`, of each speaker) are joined to recordings of
about two minutes. A row of the table
is one choice of `--chunk`, `--stride` and `--statistics`; the first row runs every recording as a whole.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from sewcli.acoustic.load import load_model
from sewcli.acoustic.running import RunningModel
from sewcli.audio import SAMPLE_RATE, read_blocks
from sewcli.chunking import ChunkPlan
from sewcli.consumers.transcriber import Transcriber
from sewcli.decoding.greedy import GreedyDecoder
from sewcli.decoding.vocabulary import Vocabulary, load_vocabulary
from sewcli.evaluation import Scored, error_rates
from sewcli.hub.fetching import fetch
from sewcli.inputs.manifest import Row, read_manifest
from sewcli.inputs.source import Source
from sewcli.pipeline.run import Options, run
from sewcli.registry import resolve
from sewcli.results import ModelInfo, Transcript

LONG = 120.0
CHOICES = [
    (5.0, 0.32, "file"),
    (5.0, 1.0, "file"),
    (6.0, 1.0, "file"),
    (8.0, 1.0, "file"),
    (10.0, 0.32, "file"),
    (10.0, 1.0, "file"),
    (10.0, 1.0, "chunk"),
    (12.0, 1.0, "file"),
    (15.0, 1.0, "file"),
    (20.0, 0.0, "file"),
    (20.0, 0.32, "file"),
    (20.0, 1.0, "file"),
    (20.0, 1.0, "chunk"),
    (20.0, 2.0, "file"),
    (30.0, 1.0, "file"),
    (30.0, 1.0, "chunk"),
]


def joined(rows: list[Row], folder: Path) -> Iterator[tuple[Source, str]]:
    """Recordings of about `LONG` seconds, one set after the other, and what is said in them."""
    for name in sorted({row.set for row in rows}):
        part, texts, seconds = [], [], 0.0
        chosen = [row for row in rows if row.set == name]
        for number, row in enumerate(chosen):
            samples = np.concatenate(list(read_blocks(row.source)))
            part.append(samples)
            texts.append(row.text or "")
            seconds += samples.size / SAMPLE_RATE
            if seconds >= LONG or number == len(chosen) - 1:
                file = folder / f"{name}-{number}.wav"
                soundfile.write(file, np.concatenate(part), SAMPLE_RATE)
                yield Source(str(file), file), " ".join(texts)
                part, texts, seconds = [], [], 0.0


def word_error_rate(
    model: RunningModel,
    vocabulary: Vocabulary,
    recordings: list[tuple[Source, str]],
    options: Options,
) -> tuple[float, float]:
    """WER and CER of the recordings, greedy."""
    results = run(
        [source for source, _ in recordings],
        model,
        lambda: Transcriber(GreedyDecoder(vocabulary), ModelInfo(""), {}),
        options,
    )
    scored = []
    for result, (_, text) in zip(results, recordings, strict=True):
        assert isinstance(result, Transcript)
        scored.append(Scored(text, result.text, ""))
    rates = error_rates(scored)
    return rates["wer"], rates["cer"]


def main() -> None:
    manifest, *name = sys.argv[1:]
    local = fetch(resolve(name[0] if name else "nano"))
    model = load_model(local, "ctc")
    vocabulary = load_vocabulary(local.directory, model.columns)
    with tempfile.TemporaryDirectory() as folder:
        recordings = list(joined(read_manifest(Path(manifest)), Path(folder)))
        print("| chunk s | stride s | statistics | WER % | CER % |\n|---|---|---|---|---|")
        whole = Options(ChunkPlan.from_seconds(400, 0))
        rates = word_error_rate(model, vocabulary, recordings, whole)
        print(f"| whole | - | file | {100 * rates[0]:.2f} | {100 * rates[1]:.2f} |", flush=True)
        for chunk, stride, statistics in CHOICES:
            plan = ChunkPlan.from_seconds(chunk, stride)
            options = Options(plan, file_statistics=statistics == "file")
            rates = word_error_rate(model, vocabulary, recordings, options)
            print(
                f"| {chunk:g} | {stride:g} | {statistics} | {100 * rates[0]:.2f} | {100 * rates[1]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""The fast engine against transformers, network alone, with random weights of the true sizes.

python benchmarks/engine.py [--models sew-tiny,sew-d-tiny] [--dtypes float32,bfloat16] [--seconds 10,30]
                            [--threads 2] [--repeats 7] [--clock wall]

A line is the median time of `SEWForCTC` or `SEWDForCTC` of transformers, eager attention, float32, over
that of the engine; the two take turns in one process. The error is that of the logits relative to the
greatest, and the share of frames with the same best token. `--clock cpu` counts processor time: with
one thread it is the steadier one on a machine that does other work.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.load import load_model
from sewcli.acoustic.statistics import wave_statistics
from sewcli.chunking import SAMPLE_RATE, kept_frame_count
from sewcli.hub import LocalModel
from sewcli.registry import ModelSpec

#: hidden size, layers, heads and positional kernel of the published models
SIZES = {
    "sew-tiny": (512, 12, 8, 31),
    "sew-small": (768, 12, 12, 31),
    "sew-mid": (768, 24, 12, 31),
    "sew-d-tiny": (384, 12, 6, 31),
    "sew-d-small": (512, 12, 8, 31),
    "sew-d-mid": (512, 24, 8, 31),
    "sew-d-mid-k127": (512, 24, 8, 127),
    "sew-d-base": (768, 24, 12, 31),
}
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def random_model(name: str) -> Any:
    """A model of transformers of the true size, its weights random."""
    hidden, layers, heads, kernel = SIZES[name]
    family = "SEWD" if name.startswith("sew-d") else "SEW"
    config = getattr(transformers, f"{family}Config")(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        num_conv_pos_embeddings=kernel,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    return getattr(transformers, f"{family}ForCTC")(config).eval()


def times(runs: list[Callable[[], Any]], repeats: int, clock: Callable[[], float]) -> list[float]:
    """Median seconds of each, taking turns after one round to warm up."""
    taken: list[list[float]] = [[] for _ in runs]
    for repeat in range(repeats + 1):
        for run, seconds in zip(runs, taken, strict=True):
            start = clock()
            run()
            if repeat:
                seconds.append(clock() - start)
    return [statistics.median(seconds) for seconds in taken]


def lines(name: str, options: argparse.Namespace) -> Iterator[str]:
    """One line of the table for each chunk length and dtype."""
    reference = random_model(name)
    with tempfile.TemporaryDirectory() as folder:
        reference.save_pretrained(folder)
        local = LocalModel(ModelSpec(alias=name, path=Path(folder)), Path(folder), None)
        engines = {dtype: load_model(local, "ctc", engine="fast", dtype=dtype) for dtype in options.dtypes}
    for seconds in options.seconds:
        samples = np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE) + 80)
        samples = samples.astype(np.float32)
        batch = make_batch([samples], [wave_statistics(samples)], normalize=True)
        runs = [lambda batch=batch: reference(batch.samples).logits]
        runs += [lambda engine=engine, batch=batch: engine.forward(batch) for engine in engines.values()]
        with torch.inference_mode():
            kept = kept_frame_count(samples.size)
            expected, *results = [run()[0, :kept].float() for run in runs]
            base, *medians = times(runs, options.repeats, CLOCKS[options.clock])
        for dtype, median, result in zip(engines, medians, results, strict=True):
            error = float((result - expected).abs().max() / expected.abs().max())
            same = float((result.argmax(-1) == expected.argmax(-1)).float().mean())
            yield (
                f"| {name} | {dtype} | {seconds:g} | {1000 * base:.0f} | {1000 * median:.0f} "
                f"| {base / median:.2f} | {error:.1e} | {100 * same:.1f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=lambda text: text.split(","), default=["sew-tiny", "sew-d-tiny"])
    parser.add_argument("--dtypes", type=lambda text: text.split(","), default=["float32", "bfloat16"])
    parser.add_argument("--seconds", type=lambda text: list(map(float, text.split(","))), default=[30.0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {options.threads} threads\n")
    print("| model | dtype | seconds | transformers ms | engine ms | ratio | error | same % |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.models:
        for line in lines(name, options):
            print(line, flush=True)


if __name__ == "__main__":
    main()

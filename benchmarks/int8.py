"""Linear layers in 8 bits against float32: speed, and what becomes of the text.

python benchmarks/int8.py MANIFEST [--model nano] [--size sew-tiny] [--clips 200] [--threads 2] [--repeats 5]

Weights are rounded to 8 bits by output channel, activations by tensor as they come (unsigned, from their
least and greatest value), the products run in oneDNN's 8-bit kernels, which use VNNI where the processor has
it. Everything else stays float32. It is an experiment: the engine has no 8-bit mode.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jiwer
import torch
import transformers
from torch.nn import functional as F

from sewcli.acoustic.batch import make_batch
from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.bench.material import model_directory, speech
from sewcli.bench.timing import medians
from sewcli.decoding.greedy import GreedyDecoder
from sewcli.decoding.vocabulary import load_vocabulary
from sewcli.engine import fast
from sewcli.engine.operators import OneDnnOperators, find_operators
from sewcli.inputs.manifest import read_manifest
from sewcli.reading.recording import Recording


class Int8Operators(OneDnnOperators):
    """`linear` in 8 bits."""

    def __init__(self) -> None:
        super().__init__(torch.ops.mkldnn)
        self._prepack = torch.ops.onednn.qlinear_prepack
        self._qlinear = torch.ops.onednn.qlinear_pointwise.default

    def pack(self, weight: torch.Tensor) -> Any:
        scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12)
        rounded = (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
        return self._prepack(rounded.contiguous(), None), scale, torch.zeros(len(scale), dtype=torch.int32)

    def linear(
        self, values: torch.Tensor, weight: Any, bias: torch.Tensor | None, *, gelu: bool = False
    ) -> torch.Tensor:
        packed, scales, zeros = weight
        values = values.contiguous()
        low, high = (float(edge) for edge in torch.aminmax(values))
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / 255, 1e-12)
        zero = round(-low / scale)
        rounded = torch.quantize_per_tensor(values, scale, zero, torch.quint8).int_repr()
        out = self._qlinear(
            rounded, scale, zero, packed, scales, zeros, bias, 1.0, 0, torch.float32, "none", [], ""
        )
        return F.gelu(out) if gelu else out


def engines(local: Any) -> dict[str, Any]:
    """The model in float32 and with 8-bit layers."""
    plain = load_model(local, "ctc", engine="fast", device="cpu")
    fast.find_operators = lambda *_, **_options: Int8Operators()
    try:
        return {"float32": plain, "int8": load_model(local, "ctc", engine="fast", device="cpu")}
    finally:
        fast.find_operators = find_operators


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--size", default="sew-tiny")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()

    print(
        "| model | float32 ms | int8 ms | ratio | logit error | same best token % |\n"
        "|---|---|---|---|---|---|"
    )
    samples = speech(30.005)
    batch = make_batch([samples], [wave_statistics(samples)], normalize=True)
    with model_directory(options.size) as local, torch.inference_mode():
        models = engines(local)
        runs = [lambda model=model: model.forward(batch) for model in models.values()]
        exact, rounded = (run()[0] for run in runs)
        plain, small = medians(runs, options.repeats)
    error = float((rounded - exact).abs().max() / exact.abs().max())
    same = float((rounded.argmax(-1) == exact.argmax(-1)).float().mean())
    print(
        f"| {options.size} | {1000 * plain:.0f} | {1000 * small:.0f} | {plain / small:.2f} | {error:.3f} "
        f"| {100 * same:.1f} |\n"
    )

    with model_directory(options.model) as local:
        models = engines(local)
        vocabulary = load_vocabulary(local.directory, models["float32"].columns)
        rows = read_manifest(options.manifest, task="ctc", skip_bad=True)
        rows = rows[:: max(1, len(rows) // options.clips)]
        print(f"| {options.model}, {len(rows)} clips | WER % | CER % |\n|---|---|---|")
        for name, model in models.items():
            texts = []
            for row in rows:
                recording = Recording(row.source)
                decoder = GreedyDecoder(vocabulary)
                decoder.push(model([Segment(recording.read(0, recording.samples), recording.statistics)])[0])
                texts.append(decoder.finish().text)
                recording.close()
            references = [row.source.text for row in rows]
            words, letters = jiwer.wer(references, texts), jiwer.cer(references, texts)
            print(f"| {name} | {100 * words:.2f} | {100 * letters:.2f} |")


if __name__ == "__main__":
    main()

"""The mean of the weights of models of one shape, as a model directory; and the bias of the blank moved.

    python recipes/average.py runs/nano/model=0.7 sewcli/models/nano=0.3 -o mixed [--blank -0.25]

Weights that were trained on from the same start often do better in the mean than each alone (model soups,
Wortsman et al., arXiv 2203.05482). A CTC model that leaves letters out more often than it adds them does
better in error rate, not in loss, with a smaller bias of its blank. Choose both on dev.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_MASK = "sew.masked_spec_embed"


def share(text: str) -> tuple[Path, float]:
    """Directory and share of `DIR=SHARE`."""
    directory, _, number = text.rpartition("=")
    return Path(directory), float(number)


def mean(models: list[tuple[Path, float]]) -> dict[str, torch.Tensor]:
    """The weighted mean, float32; SystemExit where the shares do not add up or the shapes differ."""
    if abs(sum(part for _, part in models) - 1) > 1e-6:
        raise SystemExit("the shares must add up to 1")
    total: dict[str, torch.Tensor] = {}
    mask: dict[str, torch.Tensor] = {}
    for directory, part in models:
        weights = load_file(directory / "model.safetensors")
        if _MASK in weights:  # only training with SpecAugment has and needs it: the first one's will do
            mask.setdefault(_MASK, weights.pop(_MASK))
        if total and {n: t.shape for n, t in weights.items()} != {n: t.shape for n, t in total.items()}:
            raise SystemExit(f"{directory}: other weights or shapes than {models[0][0]}")
        for name, tensor in weights.items():
            total[name] = total.get(name, torch.zeros(tensor.shape)) + part * tensor.float()
    return total | mask


def main() -> None:
    """Read the arguments and write the directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", type=share, metavar="DIR=SHARE")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--blank", type=float, default=0.0, help="added to the bias of the blank (ctc)")
    options = parser.parse_args()
    weights = mean(options.models)
    first = options.models[0][0]
    if options.blank:
        blank = json.loads((first / "config.json").read_text())["pad_token_id"]
        weights["lm_head.bias"][blank] += options.blank
    options.output.mkdir(parents=True, exist_ok=True)
    for file in first.glob("*.json"):
        shutil.copy(file, options.output / file.name)
    half = {name: tensor.half().contiguous() for name, tensor in weights.items()}
    save_file(half, options.output / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()

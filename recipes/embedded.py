"""Makes all embedded models from nothing, each from the one before it; run again it goes on where it stopped.

    python recipes/embedded.py DATA RUNS [--set KEY=VALUE ...]

DATA holds manifests/ (train, dev, keywords-train and keywords-dev .jsonl), the audio that these name, noise/
and, of text for synthetic speech, text/*.txt.gz. DATA/synthetic, DATA/synthetic-2, DATA/kw and
DATA/lexicon.txt are made there where they are missing, with flite (2.2 was used) and espeak-ng (1.51).
The models come to RUNS/embedded.
Settings are given to every training: `--set steps=2` tries the whole way.
"""

from __future__ import annotations

import argparse
import runpy
import shutil
import sys
from pathlib import Path

from sewcli.cli.app import main as sew

RECIPES = Path(__file__).parent
#: the run whose model ends up under that name
EMBEDDED = {"nano": "nano-14-mean", "nano-d": "nano-d", "nano-keywords": "nano-keywords"}


def call(program: Path | None, *arguments: object) -> None:
    """Run a program of this directory, or `sew` where it is None; SystemExit where it fails."""
    sys.argv = [str(program or "sew"), *map(str, arguments)]
    try:
        if program is None:
            sew()
        else:
            runpy.run_path(str(program), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise


def synthesise(*arguments: object) -> None:
    """Make synthetic speech, unless its manifest, at the end of the directory after -o, is there."""
    folder = Path(str(arguments[arguments.index("-o") + 1]))
    if not (folder / "manifest.jsonl").exists():
        call(RECIPES / "synthesise.py", *arguments)


def make_lexicon(*manifests: Path, output: Path) -> None:
    """Write the pronunciations of their words, unless they are there."""
    if not output.exists():
        call(RECIPES / "lexicon.py", *manifests, "-o", output)


class Way:
    """The trainings of one run of this program.

    Args:
        data: with manifests/.
        runs: gets a directory for each recipe.
        settings: KEY=VALUE for all.
    """

    def __init__(self, data: Path, runs: Path, settings: list[str]) -> None:
        self._data, self._runs, self._settings = data, runs, settings

    def train(self, name: str, **models: str) -> None:
        """Train by the recipe of that name, whose settings `models` name models of these runs."""
        settings = [*self._settings, *(f"{key}={self._runs / model}" for key, model in models.items())]
        given = [part for setting in settings for part in ("--set", setting)]
        recipe, run = RECIPES / f"{name}.toml", self._runs / name
        call(None, "train", recipe, "--data", self._data, "-o", run, "--skip-bad", "--resume", *given)

    def mean(self, target: str, **shares: float) -> None:
        """The mean of the models of runs (dashes of their names written as underscores)."""
        parts = [f"{self._runs / name.replace('_', '-') / 'model'}={share}" for name, share in shares.items()]
        call(RECIPES / "average.py", *parts, "-o", self._runs / target)

    def collect(self) -> Path:
        """Copy the models that are embedded to one directory."""
        folder = self._runs / "embedded"
        for name, run in EMBEDDED.items():
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(self._runs / run / "model", folder / name)
        return folder


def main() -> None:
    """Go the whole way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    options = parser.parse_args()
    data: Path = options.data
    texts = sorted((data / "text").glob("*.txt.gz"))
    synthesise(*texts, "-o", data / "synthetic", "--hours", 17)
    synthesise(*texts, "-o", data / "synthetic-2", "--hours", 30, "--seed", 1)
    speech = [data / name / "manifest.jsonl" for name in ("synthetic", "synthetic-2")]
    make_lexicon(data / "manifests" / "train.jsonl", *speech, output=data / "lexicon.txt")
    synthesise(RECIPES / "keywords.txt", "-o", data / "kw", "--labels", 120)
    way = Way(data, options.runs, options.settings)
    # each of these ends at a rate of zero; the next begins from the mean of it and the one before
    way.train("nano")
    way.train("nano-2", init="nano/model")
    way.mean("nano-2/mean", nano_2=0.5, nano=0.5)
    way.train("nano-3", init="nano-2/mean")
    way.mean("nano-3/mean", nano_3=0.7, nano_2=0.3)
    way.train("nano-4", init="nano-3/mean")
    # a wider one learns from it; its rate does not fall before the end of nano-6
    way.train("nano-5", feature_encoder="nano-4/model", teacher="nano-4/model")
    way.train("nano-6", init="nano-5/model")
    # and from a wide variety, each from the one before
    way.train("nano-7", init="nano-6/model")
    way.train("nano-8", init="nano-7/model")
    way.train("nano-9", init="nano-8/model")
    way.train("nano-10", init="nano-9/model")
    way.train("nano-11", init="nano-10/model")
    way.mean("nano-11-mean/model", nano_11=0.7, nano_10=0.3)
    way.train("nano-12", init="nano-11-mean/model")
    way.mean("nano-12-mean/model", nano_12=0.5, nano_11_mean=0.5)
    # the convolutions of nano-5 learn again, with the rest
    way.train("nano-13", init="nano-12-mean/model")
    way.mean("nano-13-mean/model", nano_13=0.7, nano_12_mean=0.3)
    way.train("nano-14", init="nano-13-mean/model")
    way.mean("nano-14-mean/model", nano_14=0.5, nano_13_mean=0.5)
    # the weights that both families share, then its own
    way.train("nano-d", init="nano-14-mean/model", teacher="nano-14-mean/model")
    # the encoder of nano
    way.train("nano-keywords", init="nano-3/mean")
    print(f"the models are in {way.collect()}")


if __name__ == "__main__":
    main()

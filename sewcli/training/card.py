"""The model card of a trained model, filled in from its run."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
from numpy.typing import NDArray

from sewcli import __version__
from sewcli.acoustic.forward import Model
from sewcli.chunking import SAMPLE_RATE
from sewcli.hub.fetching import LocalModel
from sewcli.training.cache import AudioCache
from sewcli.training.history import History
from sewcli.training.observers import is_loss, is_metric
from sewcli.training.recipe import Recipe

_PIPELINES = {"ctc": "automatic-speech-recognition", "classification": "audio-classification"}
_COMMANDS = {"ctc": "transcribe", "classification": "classify"}
_MEASURE = {
    "ctc": "Error rates of greedy decoding, the texts normalised as those of training.",
    "classification": "Shares of the clips.",
}
#: samples hashed at a time
_BLOCK = 1 << 24


@dataclass(frozen=True)
class DataSummary:
    """What a model was trained on.

    Attributes:
        hours: of audio by set ("" for clips of no set).
        clips: in all.
        left_out: clips that could be read and were not used.
        background: hours of other speech, of which `_unknown_` is cut.
        earlier: other clips that were learned from before the run was resumed with these.
        dev_learned: clips of dev that were learned from.
        manifests: SHA-256 of what names the clips, see `corpus_hash`.
        samples: SHA-256 of the decoded 16-bit samples of all clips, in order.
    """

    hours: dict[str, float]
    clips: int
    left_out: int
    background: float
    earlier: int
    dev_learned: int
    manifests: str
    samples: str

    @classmethod
    def of(
        cls,
        train: AudioCache,
        used: NDArray[np.int64],
        background: AudioCache | None,
        manifests: str,
        history: History,
    ) -> DataSummary:
        """Sum a training set up, of which the clips `used` are learned from."""
        hours: dict[str, float] = defaultdict(float)
        for clip in used.tolist():
            hours[train.rows[clip].set] += float(train.lengths[clip]) / SAMPLE_RATE / 3600
        digest = hashlib.sha256()
        for start in range(0, train.samples.size, _BLOCK):
            digest.update(train.samples[start : start + _BLOCK].tobytes())
        left_out = len(train) - used.size
        other = 0.0 if background is None else float(background.lengths.sum()) / SAMPLE_RATE / 3600
        return cls(
            dict(sorted(hours.items())),
            used.size,
            left_out,
            other,
            history.earlier,
            history.dev_learned,
            manifests,
            digest.hexdigest(),
        )


def write_card(
    directory: Path,
    recipe: Recipe,
    model: Model,
    data: DataSummary,
    records: list[dict[str, Any]],
    step: int,
    origin: LocalModel | None = None,
) -> None:
    """Write README.md of a model directory: what it is, what it was trained on and how, dev metrics.

    `step` is the update of the weights, `origin` the model that training began with. Licence and figures on
    test sets are for its author to add.
    """
    which = "of the last update," if recipe.choose == "last" else "that did best on dev, at update"
    measured: dict[str, Any] = next((record for record in records if record["step"] == step), {})
    metrics = {name: value for name, value in measured.items() if is_metric(name)}
    parameters = sum(tensor.numel() for tensor in model.parameters()) / 1e6
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {_PIPELINES[recipe.task]}",
        f"tags: [{recipe.family}, {recipe.task}]",
        "---",
        f"# {recipe.name}",
        "",
        f"{type(model).__name__}, {parameters:.2f} M parameters, trained by `sew train` ({__version__})"
        f"{_start(origin)}.",
        "",
        "```",
        f"sew {_COMMANDS[recipe.task]} -m DIRECTORY FILE",
        "```",
        "",
        "## Measured on dev",
        "",
        f"The weights are the moving average {which} {step}. {_MEASURE[recipe.task]}"
        + (f" {data.dev_learned} clips of dev were learned from." if data.dev_learned else ""),
        "",
        "| metric | |",
        "|---|---|",
        *(f"| {name} | {_shown(name, value)} |" for name, value in metrics.items()),
        "",
        "## Training data",
        "",
        f"{data.clips} clips, {sum(data.hours.values()):.2f} hours"
        + (f"; {data.left_out} more were left out." if data.left_out else ".")
        + (
            f" Before, the run had learned from {data.earlier} clips that are not among these."
            if data.earlier
            else ""
        )
        + (
            f" `_unknown_` was cut from {data.background:.2f} hours of other speech."
            if data.background
            else ""
        ),
        "",
        "| set | hours |",
        "|---|---|",
        *(f"| {name or '-'} | {hours:.2f} |" for name, hours in data.hours.items()),
        "",
        f"- SHA-256 of the manifests: {data.manifests}",
        f"- SHA-256 of the decoded samples of all of them (16 bit, 16 kHz, in order): {data.samples}",
        "",
        "## Recipe",
        "",
        "The settings that are not the defaults; data paths are named by their ends.",
        "",
        "```toml",
        *tomlkit.dumps(_settings(recipe)).splitlines(),
        "```",
    ]
    (directory / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _start(origin: LocalModel | None) -> str:
    """Which model training began with, and the very state of it."""
    if origin is None:
        return ""
    exact = "" if origin.revision is None else f" at {origin.revision}"
    return f", from {origin.spec.repo or origin.spec.name}{exact}"


def _settings(recipe: Recipe) -> dict[str, Any]:
    """The seed and the settings that are not the defaults; tables last, paths by their ends."""
    changed = {}
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if value is not None and (value != default or field.name == "seed"):
            changed[field.name] = _plain(value)
    return dict(sorted(changed.items(), key=lambda item: isinstance(item[1], dict)))


def _plain(value: Any) -> Any:
    match value:
        case Path():
            return "/".join(value.parts[-2:])
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _shown(name: str, value: float | None) -> str:
    """A metric as the card has it: shares in percent, losses as they are."""
    if value is None:
        return "-"
    return f"{value:.3f}" if is_loss(name) else f"{100 * value:.2f} %"

"""A training recipe: one TOML file, whose settings `--set` may override."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from sewcli.errors import UsageError
from sewcli.nearest import nearest
from sewcli.toml import parse_toml
from sewcli.training.settings import (
    Count,
    CountOrZero,
    Counts,
    Flag,
    NotNegative,
    OptionalPath,
    OptionalText,
    Paths,
    Positive,
    Range,
    Seed,
    Share,
    SpeedRange,
    Speeds,
    Table,
    Text,
    check_setting,
    choice,
    rules_of,
)


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    Attributes:
        name: of the model that results.
        task: "ctc" or "classification".
        train: manifests (JSON Lines) or data set directories, see `corpus`.
        dev: likewise; None holds every twentieth clip of `train` out.
        family: "sew", "sew-d" or "auto": that of `init`, else SEW. SEW-D can start from SEW, see `families`.
        init: alias, directory or hub repository of a model to start from; None to start from nothing.
        revision: of `init`, where it is of the hub: a branch, a tag or a commit.
        config: keyword arguments of SEWConfig or SEWDConfig, over those of `init`: dropout, layerdrop,
            SpecAugment (mask_time_prob ...), ctc_loss_reduction, ctc_zero_infinity and the rest.
        vocabulary: "auto" (that of `init` where it has one, else "english"), "english" (that of the
            published English checkpoints), "build" (the characters of the training texts) or the path of a
            vocab.json (ctc).
        punctuation: "keep" or "remove": whether marks that the vocabulary lacks make a clip unusable, or
            are taken out of its text (ctc).
        noise: directory of noise recordings, all audio files below it but rir-*.
        rooms: directory of room responses, all audio files below it; the files rir-* below `noise` when None.
        background, background_dev: manifests of transcribed speech from which `_unknown_` is cut for
            training and for dev (classification); without them there is no `_unknown_` or `_silence_`.
        label_smoothing: of the cross-entropy (classification).
        repeat: how often the clips of a set come in one pass, by set (ctc); 1 for those not named.
        seed: of every random choice.
        steps: updates in all.
        batch_seconds: audio in one batch.
        accumulate: batches in one update, on each process.
        pool_batches, shortest_first: how clips are put together, see `batches.Bucketing`.
        max_seconds, min_seconds: clips outside are left out, and counted.
        optimizer: "adamw", or "muon" for the matrices of the encoder with AdamW for the rest.
        peak_rate: highest learning rate.
        warmup: updates over which the rate rises to the peak.
        decay_from: share of the updates after which it falls linearly to zero.
        weight_decay, clip_norm: of the optimiser and of the gradient.
        average: decay of the exponential moving average of the weights that is evaluated and saved.
        precision: "bf16" (autocast), "float32", or "auto": bf16 where the device computes in it.
        freeze_feature_encoder: leave the convolutions as they are.
        freeze_layers: leave so many transformer layers, from the first on, and all before them as they are;
            all of them, and the head alone learns.
        keep_features: compute what these frozen convolutions give of so many changed versions of each clip
            once, in the cache of the run, and train on these (ctc); 0 for none. 256 channels take 92 MB an
            hour of speech and version.
        feature_versions: how many of the clips of a set, by set, where that is not `keep_features`.
        feature_tempo: least and greatest factor by which kept features are played faster, at random.
        feature_encoder: model whose convolutions a model from nothing has, with their layer norm (ctc).
        teacher, teacher_steps: CTC model whose posteriors are matched at first, see `teacher`; updates
            after which they count no more.
        lexicon: pronunciations, a word and its phones a line: phones are learned beside the text (ctc).
        phone_layer, phone_weight: layer they are read from, from 1, and weight of their loss, see `phones`.
        consistency: weight of how far two readings of a clip, with other masks and dropout, lie apart; 0 for
            one reading (ctc). A batch then takes the time of two, see `posteriors`.
        word_error_weight, word_error_from: weight of the expected word errors beside the CTC loss, see
            `word_errors`; share of the updates after which they count (ctc).
        residual_gain: factor on the last weights of each residual branch of a model from nothing.
        front_end_steps: updates that teach the front end of such a model log-mel energies first.
        speeds: factors by which clips are played faster or slower at random; those of a batch have one.
        noise_probability, noise_snr: share of clips with noise added; its range in dB.
        room_probability: share of clips heard through a room response.
        response_probability: share of clips with another, random frequency response.
        band_probability: share of clips limited to the band of a telephone (4 kHz).
        eval_every: updates between evaluations on dev, each of which also writes a checkpoint.
        save_every: updates between checkpoints without an evaluation.
        choose: the averaged weights that become the model: "best" on dev, or "last", where dev is too small
            to tell one from another.
        early_stop: evaluations without a better one after which training ends; 0 for never.
        part_mib: largest file of a checkpoint or an exported model, in MiB.
    """

    name: Text
    task: Annotated[str, choice("ctc", "classification")]
    train: Paths
    dev: OptionalPath = None
    family: Annotated[str, choice("auto", "sew", "sew-d")] = "auto"
    init: OptionalText = None
    revision: OptionalText = None
    config: Table = field(default_factory=dict)
    vocabulary: Text = "auto"
    punctuation: Annotated[str, choice("keep", "remove")] = "keep"
    noise: OptionalPath = None
    rooms: OptionalPath = None
    background: OptionalPath = None
    background_dev: OptionalPath = None
    label_smoothing: Share = 0.05
    repeat: Counts = field(default_factory=dict)
    seed: Seed = 0
    steps: Count = 10_000
    batch_seconds: Positive = 32.0
    accumulate: Count = 1
    pool_batches: Count = 40
    shortest_first: Flag = False
    max_seconds: Positive = 16.0
    min_seconds: Positive = 0.2
    optimizer: Annotated[str, choice("adamw", "muon")] = "adamw"
    peak_rate: Positive = 1e-3
    warmup: CountOrZero = 500
    decay_from: Share = 0.6
    weight_decay: NotNegative = 0.01
    clip_norm: Positive = 1.0
    average: Share = 0.999
    precision: Annotated[str, choice("auto", "bf16", "float32")] = "auto"
    freeze_feature_encoder: Flag = False
    freeze_layers: CountOrZero = 0
    keep_features: CountOrZero = 0
    feature_versions: Counts = field(default_factory=dict)
    feature_tempo: SpeedRange = (1.0, 1.0)
    feature_encoder: OptionalText = None
    teacher: OptionalText = None
    teacher_steps: Count = 1000
    lexicon: OptionalPath = None
    phone_layer: Count = 1
    phone_weight: Positive = 0.3
    consistency: NotNegative = 0.0
    word_error_weight: NotNegative = 0.0
    word_error_from: Share = 0.0
    residual_gain: Positive = 0.2
    front_end_steps: CountOrZero = 500
    speeds: Speeds = (1.0,)
    noise_probability: Share = 0.0
    noise_snr: Range = (5.0, 25.0)
    room_probability: Share = 0.0
    response_probability: Share = 0.0
    band_probability: Share = 0.0
    eval_every: Count = 1000
    save_every: Count = 250
    choose: Annotated[str, choice("best", "last")] = "best"
    early_stop: CountOrZero = 0
    part_mib: Count = 1024


_RULES = rules_of(Recipe)


def load_recipe(
    path: Path, data: Path | None, overrides: list[str], given: Mapping[str, Any] | None = None
) -> Recipe:
    """Read a recipe.

    Args:
        path: the TOML file.
        data: folder the recipe's data paths are relative to; the recipe's own folder when None.
            Models and `vocabulary` are relative to the working directory.
        overrides: settings of the form "key=value", the value in TOML or a bare string.
        given: settings that take the place of those of the file.

    Raises:
        UsageError: no such file, bad TOML, an unknown or missing key, or a value of the wrong type.
    """
    try:
        fields = parse_toml(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from error
    except ValueError as error:
        raise UsageError(f"the recipe {path} is not valid TOML: {error}") from error
    folder = data if data is not None else path.parent
    given = dict(given or {})
    if "init" in given or any(setting.partition("=")[0].strip() == "init" for setting in overrides):
        fields.pop("revision", None)  # that of another model
    return make_recipe(fields | given, overrides, folder, f"the recipe {path}")


def make_recipe(fields: Mapping[str, Any], overrides: list[str], data: Path, origin: str) -> Recipe:
    """A recipe from its settings, checked.

    Args:
        fields: settings by name, as TOML holds them.
        overrides: see `load_recipe`.
        data: folder the data paths are relative to.
        origin: where the settings come from, for messages.

    Raises:
        UsageError: as `load_recipe`.
    """
    fields = dict(fields)
    for setting in overrides:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: write key=value")
        _override(fields, key.strip(), value)
    unknown = sorted(fields.keys() - _RULES.keys())
    if unknown:
        close = [nearest(key, _RULES) for key in unknown]
        hint = (
            f"did you mean {', '.join(key for (key,) in close)}?"
            if all(close)
            else f"keys: {', '.join(_RULES)}"
        )
        raise UsageError(f"{origin} has no key {', '.join(unknown)}", hint=hint)
    missing = [key for key in ("name", "task", "train") if key not in fields]
    if missing:
        raise UsageError(
            f"{origin} lacks {', '.join(missing)}",
            hint="add a line for each, see docs/training.md",
        )
    for key, value in fields.items():
        check_setting(key, value, _RULES[key])
        fields[key] = _as_field(value, data if _RULES[key].is_data else None)
    if isinstance(fields["train"], Path):
        fields["train"] = (fields["train"],)
    return Recipe(**fields)


def _as_field(value: Any, folder: Path | None) -> Any:
    """A value of TOML as the recipe holds it: lists as tuples, paths below `folder` where there is one."""
    if isinstance(value, list | tuple):
        return tuple(_as_field(item, folder) for item in value)
    return value if folder is None else folder / value


def _override(fields: dict[str, Any], key: str, text: str) -> None:
    """Set `key`, which may lie in a table (config.hidden_size), to a value in TOML or a bare string."""
    try:
        value = parse_toml(f"value = {text}".encode())["value"]
    except ValueError:
        # TOML wants digits on both sides of a point
        value = float(text) if re.fullmatch(r"[+-]?(\.\d+|\d+\.)", text) else text
    table, dot, name = key.partition(".")
    if not dot:
        fields[key] = value
        return
    inner = fields.get(table, {})
    if not isinstance(inner, dict):
        raise UsageError(f"--set {key}: {table} is not a table")
    fields[table] = {**inner, name: value}

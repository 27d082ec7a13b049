"""The clips of a recipe, and the task that is made of them."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from sewcli.acoustic.files import read_config
from sewcli.decoding.vocabulary import load_vocabulary, special_tokens
from sewcli.errors import UsageError
from sewcli.inputs.corpus import corpus_hash, has_split, read_corpus
from sewcli.inputs.manifest import Row, Task
from sewcli.training.augment import load_noise
from sewcli.training.cache import AudioCache
from sewcli.training.checks import check_sets
from sewcli.training.classification import ClassificationTask
from sewcli.training.ctc import CtcTask
from sewcli.training.keywords import OtherSounds
from sewcli.training.recipe import Recipe
from sewcli.training.vocabulary import (
    TOKENIZER_FILES,
    Speller,
    build_vocabulary,
    english_vocabulary,
    read_vocabulary,
    write_tokenizer_config,
    write_vocabulary,
)

log = logging.getLogger("sewcli")

#: without a dev set every so many-th clip of the training set, of each label, is held out
HOLD_OUT = 20


class Data(NamedTuple):
    """The clips of a recipe.

    Attributes:
        train, dev: those to learn and to choose by.
        held_out: whether those of dev are of the training data.
        background: speech of training and of dev for `_unknown_`, where the recipe has it.
        manifests: hash of what names the training clips.
    """

    train: AudioCache
    dev: AudioCache
    held_out: bool
    background: list[AudioCache]
    manifests: str


def read_data(recipe: Recipe, cache: Path, *, skip_bad: bool) -> Data:
    """Read and decode them."""

    def read(path: Path, task: Task, split: str = "train") -> list[Row]:
        return read_corpus(path, cache, task=task, split=split, skip_bad=skip_bad)

    def decoded(rows: list[Row]) -> AudioCache:
        return AudioCache.build(rows, cache, skip_bad=skip_bad)

    for path in filter(None, (*recipe.train, recipe.dev)):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UsageError(
                f"{path} is a pipe, which can be read once, and a training reads its data again",
                hint="write them to a file",
            )
    kind: Task = "ctc" if recipe.task == "ctc" else "classification"
    by_path = {path: read(path, kind) for path in recipe.train}
    rows = [row for path in recipe.train for row in by_path[path]]
    check_sets(recipe, rows)
    held = [path for path in recipe.train if has_split(path, "dev")]
    held_out = False
    if recipe.dev is not None:
        dev_rows = read(recipe.dev, kind, "dev")
    elif held:
        dev_rows = [row for path in held for row in read(path, kind, "dev")]
    elif len(rows) < 2:
        raise UsageError("one training clip, and none for dev", hint="give dev clips, or more clips")
    else:
        dev_rows, rows = hold_out(rows, by_label=kind == "classification")
        if not rows:
            raise UsageError("the training data are one clip again and again", hint="give dev clips too")
        log.info("no dev set: %d clips of the training data are held out for it", len(dev_rows))
        held_out = True
    if not held_out:
        _tell_shared(rows, dev_rows)
    train, dev = decoded(rows), decoded(dev_rows)
    others = ((recipe.background, "train"), (recipe.background_dev, "dev"))
    background = [decoded(read(path, "ctc", split)) for path, split in others if path is not None]
    return Data(train, dev, held_out, background, corpus_hash(by_path))


def hold_out(rows: list[Row], *, by_label: bool) -> tuple[list[Row], list[Row]]:
    """The rows to choose by and those to learn from: every so many-th, or of each label, which has one then.

    A label with one clip alone has it to learn from. Copies of what is held out, which two manifests may
    have, are in neither.
    """
    audio = [row.audio for row in rows]
    first: dict[Any, int] = {}
    places: dict[str | None, list[int]] = {}
    for place, (row, own) in enumerate(zip(rows, audio, strict=True)):
        if first.setdefault(own, place) == place:
            places.setdefault(row.label if by_label else None, []).append(place)
    held = {place for of_label in places.values() if len(of_label) > 1 for place in of_label[::HOLD_OUT]}
    held = held or set([*first.values()][::HOLD_OUT])
    gone = {audio[place] for place in held}
    kept = [row for row, own in zip(rows, audio, strict=True) if own not in gone]
    return [rows[place] for place in sorted(held)], kept


def _tell_shared(rows: list[Row], dev_rows: list[Row]) -> None:
    """Warn of dev clips that are learned from."""
    known = {row.audio for row in rows}
    if both := sum(row.audio in known for row in dev_rows):
        log.warning(
            "%d of %d dev clips are among those of training: what is best on them need not be on others",
            *(both, len(dev_rows)),
        )


def make_task(
    recipe: Recipe, data: Data, start: Path | None, *, skip_bad: bool
) -> CtcTask | ClassificationTask:
    """What is learned of the clips; `start` is the directory of the model that is trained on, if any."""
    if recipe.task == "ctc":
        speller = _speller(recipe, data, start)
        return CtcTask(recipe, data.train, data.dev, speller, skip_bad=skip_bad)
    other = None
    if data.background:
        learned, chosen_by = data.background
        other = OtherSounds(learned, chosen_by, load_noise(recipe.noise))
    return ClassificationTask(recipe, data.train, data.dev, other)


def _speller(recipe: Recipe, data: Data, start: Path | None) -> Speller:
    remove = recipe.punctuation == "remove"
    match recipe.vocabulary:
        case "english":
            vocabulary = english_vocabulary()
        case "build":
            rows = [*data.train.rows, *(data.dev.rows if data.held_out else ())]
            vocabulary = build_vocabulary((row.text or "" for row in rows), remove_punctuation=remove)
        case "auto" if start is not None and (start / "vocab.json").exists():
            vocabulary = load_vocabulary(start, int(read_config(start).get("vocab_size", 32)))
        case "auto":
            vocabulary = english_vocabulary()
        case file:
            vocabulary = read_vocabulary(Path(file))
    return Speller(vocabulary, remove)


def write_spelling(recipe: Recipe, speller: Speller, start: Path | None, target: Path) -> None:
    """Tokenizer files of the model: those it was given, or new ones."""
    given = {"auto": start, "english": None, "build": None}.get(
        recipe.vocabulary, Path(recipe.vocabulary).parent
    )
    if given is None or not (given / "vocab.json").exists():
        write_vocabulary(target, speller.vocabulary.tokens)
        return
    for name in TOKENIZER_FILES:
        if (given / name).exists():
            shutil.copyfile(given / name, target / name)
    if not (target / "tokenizer_config.json").exists():  # without it transformers finds no tokenizer
        write_tokenizer_config(target, speller.vocabulary, special_tokens(target))

"""The clips of a data set, from whatever holds them.

* a JSON Lines manifest, as everywhere else;
* an audiofolder of Hugging Face datasets: a directory with metadata.csv or metadata.jsonl
  (`file_name` and `transcription`, `text`, `sentence` or `label`), or one folder a label;
* a directory that `datasets.Dataset.save_to_disk` wrote, with a column `audio`;
* a corpus as it is published (sewcli.inputs.published).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sewcli.errors import UsageError
from sewcli.inputs.formats import AUDIO_EXTENSIONS
from sewcli.inputs.manifest import Manifest, Row, Task, load_manifest
from sewcli.inputs.published import (
    has_lists,
    has_transcripts,
    is_table,
    listed_clips,
    table,
    transcripts,
    unlisted_clips,
)
from sewcli.inputs.saved import (
    LABEL_COLUMNS,
    SPLIT_NAMES,
    TEXT_COLUMNS,
    has_saved_split,
    is_saved,
    no_such_split,
    open_saved,
    saved_dataset,
    split_name,
)
from sewcli.inputs.source import Source

log = logging.getLogger("sewcli")

_INDEXES = ("metadata.csv", "metadata.jsonl")
#: folders that are no labels
_SPLITS = tuple(name for names in SPLIT_NAMES.values() for name in names)
_NOTHING = "give a JSON Lines manifest, an audiofolder, a saved data set or a published corpus"


def read_corpus(
    path: Path, unpacked: Path, *, task: Task, split: str = "train", skip_bad: bool = False
) -> list[Row]:
    """Rows of a manifest or of a data set directory that are good for a task, their files being there.

    Args:
        path: what to read.
        unpacked: directory for the clips of a saved data set, which lie in its tables.
        task: what the rows must be good for.
        split: see `load_corpus`.
        skip_bad: leave rows out that cannot be used, with a message each, instead of refusing them all.

    Raises:
        UsageError: nothing there, not a data set, or bad rows; the message names file and line.
    """
    manifest = load_corpus(path, unpacked, split=split)
    manifest.check(task, files=True)
    return manifest.settle(skip_bad=skip_bad)


def load_corpus(path: Path, unpacked: Path, *, split: str = "train") -> Manifest:
    """Read a manifest or a data set directory; what is no row of it becomes a problem.

    Args:
        path: what to read.
        unpacked: directory for the clips of a saved data set.
        split: which of a saved dictionary of splits, or by the lists of Speech Commands: "train", "dev" or
            "test".

    Raises:
        UsageError: it cannot be read, or holds no data set, or none of that split.
    """
    if not path.is_dir():
        return table(path) if is_table(path) else load_manifest(path)
    given, path = path, _of_split(path, split)
    if path != given:
        log.info("%s: its folder %s", given, path.name)
    if is_saved(path):
        return saved_dataset(path, unpacked, split)
    indexes = _indexes(path)
    if indexes:
        manifest = _audiofolder(path, indexes[0])
    elif has_lists(path):
        manifest = _speech_commands(path, split)
    elif has_transcripts(path):
        manifest = transcripts(path)
    else:
        manifest = _label_folders(path)
    if not manifest.rows and not manifest.problems:
        is_bare = any(file.suffix[1:].lower() in AUDIO_EXTENSIONS for file in path.iterdir())
        what = "audio files without texts or labels" if is_bare else "no clips"
        raise UsageError(f"{path} holds {what}", hint=_NOTHING)
    return manifest


def corpus_task(path: Path) -> Task:
    """What a data set is for: classification where its first row has a label.

    Raises:
        UsageError: as `load_corpus`, for training.
    """
    found = _of_split(path, "train")
    if is_saved(found):  # whose clips need not be unpacked for that
        _, _, label = open_saved(found, "train")
        return "ctc" if label is None else "classification"
    return load_corpus(path, path).task


def has_split(path: Path, split: str) -> bool:
    """Whether a path has splits of its own, and that one ("train", "dev" or "test") among them."""
    if is_saved(path):
        return has_saved_split(path, split)
    if splits := _split_folders(path):
        return split_name(splits, split) is not None
    return has_lists(path) and not _indexes(path)


def corpus_hash(read: Mapping[Path, Sequence[Row]]) -> str:
    """SHA-256 of what names the clips of data sets, in order.

    That is the bytes of a manifest or of the index of a directory; where there is none, the path, text and
    label of each row.

    Args:
        read: the rows of each data set, to train on.
    """
    digest = hashlib.sha256()
    for given, rows in read.items():
        path = _of_split(given, "train")
        files = [path] if path.is_file() else _indexes(path)
        for file in files:
            digest.update(file.read_bytes())
        if not files:
            # the clips of a saved data set have names of their contents
            names = [
                row.source.file.name if is_saved(path) else os.path.relpath(row.source.file, path)
                for row in rows
            ]
            named = [[name, row.text, row.label] for name, row in zip(names, rows, strict=True)]
            digest.update(json.dumps(named).encode())
    return digest.hexdigest()


def _indexes(folder: Path) -> list[Path]:
    """The indexes of an audiofolder; the first of them is read."""
    return [folder / name for name in _INDEXES if (folder / name).exists()]


def _audiofolder(folder: Path, index: Path) -> Manifest:
    """Rows of the index; one without a name of a file becomes a problem."""
    manifest = Manifest(index, names={"ctc": TEXT_COLUMNS, "classification": LABEL_COLUMNS})
    entries: Iterator[tuple[int, Mapping[str, Any] | str]]
    entries = _csv_entries(index) if index.suffix == ".csv" else _json_entries(index)
    for line, entry in entries:
        if isinstance(entry, str):
            manifest.bad(line, "not_a_row", entry)
            continue
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            manifest.bad(line, "not_a_row", "a row needs a file_name")
            continue
        source = Source(str(folder / name), folder / name, text=_first(entry, TEXT_COLUMNS))
        label, part = _first(entry, LABEL_COLUMNS), str(entry.get("set") or "")
        manifest.rows.append(Row(source, label, part, line, manifest.place(line)))
    return manifest


def _csv_entries(index: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a table with the lines they end in."""
    table = csv.DictReader(io.StringIO(_decoded(index, _read(index)), newline=""))
    try:
        for entry in table:
            yield table.line_num, {key: value for key, value in entry.items() if isinstance(key, str)}
    except csv.Error as error:
        raise UsageError(
            f"{index}:{table.line_num}: {error}", hint="look for a quotation mark that is not closed"
        ) from error


def _json_entries(index: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """The objects of the lines; in the place of what is none, a message."""
    for line, raw in enumerate(_read(index).split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            entry = json.loads(_decoded(index, raw))
        except (ValueError, RecursionError) as error:
            yield line, f"not a JSON object: {error}"
            continue
        yield line, entry if isinstance(entry, dict) else "not a JSON object"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def _decoded(file: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {file}: {error}", hint="save it as UTF-8") from error


def _first(entry: Mapping[str, Any], columns: tuple[str, ...]) -> str | None:
    return next((str(entry[column]) for column in columns if entry.get(column) not in (None, "")), None)


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name[0] != "."]


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folders of a directory by their names, where all are named as splits; else none.

    One alone, which may as well be a label, is a split where it has an index.
    """
    if not folder.is_dir() or is_saved(folder) or _indexes(folder):
        return {}
    names = {entry.name.lower(): entry for entry in _folders(folder)}
    if not names or not all(name in _SPLITS for name in names):
        return {}
    return names if len(names) > 1 or any(map(_indexes, names.values())) else {}


def _of_split(path: Path, split: str) -> Path:
    """The folder of a split, where a path is a directory of such, else the path (UsageError for none)."""
    splits = _split_folders(path)
    if not splits:
        return path
    name = split_name(splits, split)
    if name is None:
        raise no_such_split(path, [folder.name for folder in splits.values()], split)
    return splits[name]


def _label_folders(folder: Path) -> Manifest:
    """One folder a label: the audio files below it.

    Raises:
        UsageError: these are the parts of a data set.
    """
    labels = _folders(folder)
    names = {entry.name.lower(): entry for entry in labels}
    indexed = [str(entry) for entry in names.values() if _indexes(entry)]
    if "clips" in names and (tables := sorted(folder.glob("*.tsv"))):
        raise UsageError(
            f"{folder} holds the tables of a data set, not one folder a label",
            hint=f"name one: {next((one for one in tables if one.stem == 'train'), tables[0])}",
        )
    if indexed:
        raise UsageError(
            f"{folder} holds the parts of a data set, not one folder a label", hint=f"name one: {indexed[0]}"
        )
    rows = [
        Row(Source(str(file), file), label.name)
        for label in labels
        for file in sorted(label.rglob("*"))
        if file.suffix[1:].lower() in AUDIO_EXTENSIONS
    ]
    return Manifest(folder, rows)


def _speech_commands(folder: Path, split: str) -> Manifest:
    if split != "train":
        return listed_clips(folder, split)
    return Manifest(folder, unlisted_clips(folder, _label_folders(folder).rows))

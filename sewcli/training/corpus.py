"""The clips of a training or dev set, from whatever holds them.

* a JSON Lines manifest, as everywhere else;
* an audiofolder of Hugging Face datasets: a directory with metadata.csv or metadata.jsonl
  (`file_name` and `transcription`, `text`, `sentence` or `label`), or one folder a label;
* a directory that `datasets.Dataset.save_to_disk` wrote, with a column `audio`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sewcli.errors import UsageError
from sewcli.inputs.formats import AUDIO_EXTENSIONS
from sewcli.inputs.manifest import Row, Task, read_manifest
from sewcli.inputs.sources import Source

log = logging.getLogger("sewcli")

_TEXT_COLUMNS = ("transcription", "text", "sentence", "transcript")
_LABEL_COLUMNS = ("label", "labels")
#: what folders are called that are no labels
_SPLITS = ("train", "training", "validation", "valid", "dev", "test")


def read_corpus(path: Path, unpacked: Path, *, task: Task | None = None, skip_bad: bool = False) -> list[Row]:
    """Rows of a manifest or of a data set directory.

    Args:
        path: what to read.
        unpacked: directory for the clips of a saved data set, which lie in its tables.
        task: what the rows of a manifest must be good for; None does not look.
        skip_bad: leave rows out that cannot be used, with a message each, instead of refusing them all.

    Raises:
        UsageError: nothing there, not a data set, or bad rows; the message names file and line.
    """
    if not path.is_dir():
        return read_manifest(path, task=task, skip_bad=skip_bad)
    if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
        rows = _saved_dataset(path, unpacked, skip_bad=skip_bad)
    elif (path / "metadata.csv").exists():
        table = csv.DictReader(io.StringIO(_read(path / "metadata.csv"), newline=""))
        rows = _audiofolder(path, path / "metadata.csv", table, skip_bad=skip_bad)
    elif (path / "metadata.jsonl").exists():
        entries = (_json_line(line) for line in _read(path / "metadata.jsonl").splitlines())
        rows = _audiofolder(path, path / "metadata.jsonl", entries, skip_bad=skip_bad)
    else:
        rows = _label_folders(path)
    if not rows:
        raise UsageError(
            f"{path} holds no clips to train on",
            hint="give a JSON Lines manifest, an audiofolder or a saved data set",
        )
    return rows


def manifest_hash(paths: Iterable[Path]) -> str:
    """SHA-256 of the manifests, in order; what a directory holds counts by its index file."""
    digest = hashlib.sha256()
    for path in paths:
        files = [path] if path.is_file() else [path / "metadata.csv", path / "metadata.jsonl"]
        for file in files:
            if file.exists():
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}", hint="save it as UTF-8") from error


def _json_line(line: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(line) if line.strip() else {}
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _audiofolder(
    folder: Path, index: Path, entries: Iterable[Mapping[str, Any]], *, skip_bad: bool
) -> list[Row]:
    rows = []
    first_line = 2 if index.suffix == ".csv" else 1
    for number, entry in enumerate(entries, start=first_line):
        name = entry.get("file_name")
        text, label = _first(entry, _TEXT_COLUMNS), _first(entry, _LABEL_COLUMNS)
        if not isinstance(name, str) or (text is None and label is None):
            _bad_row(
                f"{index}:{number}: a row needs file_name and one of {', '.join(_TEXT_COLUMNS)}, label",
                skip_bad=skip_bad,
            )
            continue
        file = folder / name
        if not file.exists():
            _bad_row(f"{index}:{number}: {file}: no such file", skip_bad=skip_bad)
            continue
        rows.append(Row(Source(str(file), file, text=text), label, str(entry.get("set", "") or "")))
    return rows


def _bad_row(problem: str, *, skip_bad: bool) -> None:
    if not skip_bad:
        raise UsageError(problem, hint="correct the row, or leave such rows out with --skip-bad")
    log.warning("left out: %s", problem)


def _first(entry: Mapping[str, Any], columns: tuple[str, ...]) -> str | None:
    return next((str(entry[column]) for column in columns if entry.get(column) not in (None, "")), None)


def _label_folders(folder: Path) -> list[Row]:
    """One folder a label: the audio files below it.

    Raises:
        UsageError: these are the splits of a data set.
    """
    names = {entry.name.lower(): entry for entry in folder.iterdir() if entry.is_dir()}
    splits = [str(names[name]) for name in _SPLITS if name in names]
    indexed = [str(entry) for entry in names.values() if any(entry.glob("metadata.*"))]
    if len(splits) == len(names) > 1 or indexed:
        raise UsageError(
            f"{folder} holds the splits of a data set, not one folder a label",
            hint=f"name one: {(indexed or splits)[0]}",
        )
    return [
        Row(Source(str(file), file), label.name)
        for label in sorted(folder.iterdir())
        if label.is_dir() and not label.name.startswith(".")
        for file in sorted(label.rglob("*"))
        if file.suffix[1:].lower() in AUDIO_EXTENSIONS
    ]


def _saved_dataset(path: Path, unpacked: Path, *, skip_bad: bool) -> list[Row]:
    """Unpack the clips of a saved data set; a dictionary of splits gives its split "train"."""
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            f"{path} is a saved data set, which needs the package datasets",
            hint="pip install 'sewcli[datasets]'",
        ) from error
    table = datasets.load_from_disk(str(path))
    if isinstance(table, datasets.DatasetDict):
        if "train" not in table:
            raise UsageError(
                f"{path} has splits {', '.join(table)}, none is train", hint="name one: PATH/test"
            )
        table = table["train"]
    if "audio" not in table.column_names:
        raise UsageError(f"{path} has no column audio; its columns: {', '.join(table.column_names)}")
    text = next((column for column in _TEXT_COLUMNS if column in table.column_names), None)
    label = next((column for column in _LABEL_COLUMNS if column in table.column_names), None)
    if text is None and label is None:
        raise UsageError(f"{path} has no column {', '.join(_TEXT_COLUMNS)} or label")
    names = getattr(table.features[label], "int2str", str) if label is not None else str
    table = table.cast_column("audio", datasets.Audio(decode=False))
    target = unpacked / hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    target.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, entry in enumerate(table):
        wanted = entry[text if text is not None else label]
        if wanted in (None, "") or not entry["audio"]:
            _bad_row(f"{path}: row {number} has no audio, or no text or label", skip_bad=skip_bad)
            continue
        file = _unpack(entry["audio"], path, target)
        if not file.exists():
            _bad_row(f"{path}: row {number}: {file}: no such file", skip_bad=skip_bad)
            continue
        said = str(wanted) if text is not None else None
        rows.append(Row(Source(str(file), file, text=said), None if text is not None else names(wanted)))
    return rows


def _unpack(audio: Mapping[str, Any], path: Path, target: Path) -> Path:
    """The file of one clip: written from its bytes and named by them, or where the table says it lies."""
    name = Path(str(audio.get("path") or "clip.wav"))
    content: bytes | None = audio.get("bytes")
    if content is None:
        return name if name.is_absolute() else path / name
    file = target / f"{hashlib.sha256(content).hexdigest()[:24]}{name.suffix}"
    if not file.exists():
        temporary = file.with_suffix(".tmp")
        temporary.write_bytes(content)
        temporary.replace(file)
    return file

"""Data sets that `datasets.Dataset.save_to_disk` wrote, whose clips lie in their tables."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from sewcli.atomic import write_whole
from sewcli.errors import UsageError
from sewcli.inputs.faults import reason_of
from sewcli.inputs.manifest import Manifest, Row
from sewcli.inputs.source import Source
from sewcli.json_files import read_object

log = logging.getLogger("sewcli")

#: columns of a data set, those that are looked for first before others
TEXT_COLUMNS = ("transcription", "text", "sentence", "transcript")
LABEL_COLUMNS = ("label", "labels")
#: what the splits of a data set are called
SPLIT_NAMES = {"train": ("train", "training"), "dev": ("validation", "valid", "dev"), "test": ("test",)}


def is_saved(path: Path) -> bool:
    """Whether a directory is a data set that `datasets` saved, or a dictionary of splits."""
    return (path / "state.json").exists() or (path / "dataset_dict.json").exists()


def has_saved_split(path: Path, split: str) -> bool:
    """Whether a path is a saved dictionary of splits with that one ("train", "dev" or "test").

    Raises:
        UsageError: its list of splits is damaged.
    """
    file = path / "dataset_dict.json"
    if not file.exists():
        return False
    try:
        return split_name(read_object(file)["splits"], split) is not None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{file} does not list the splits of a data set: {reason_of(error)}") from error


def open_saved(path: Path, split: str) -> tuple[Any, str | None, str | None]:
    """A saved data set and its columns of text and labels; a dictionary of splits gives the one asked for.

    Raises:
        UsageError: the package datasets is missing, or the data set has no such split or no such columns.
    """
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            f"{path} is a saved data set, which needs the package datasets",
            hint="pip install 'sewcli[datasets]'",
        ) from error
    try:
        table = datasets.load_from_disk(str(path))
    # whatever it makes of files that are gone or cut; and of one without rows it cannot read any
    except Exception as error:
        raise UsageError(
            f"the saved data set {path} cannot be read: {reason_of(error)}",
            hint="save it again; one without a row cannot be read",
        ) from error
    if isinstance(table, datasets.DatasetDict):
        name = split_name(table, split)
        if name is None:
            raise no_such_split(path, list(table), split)
        log.info("%s: its split %s", path, name)
        table = table[name]
    if "audio" not in table.column_names:
        raise UsageError(f"{path} has no column audio; its columns: {', '.join(table.column_names)}")
    text = next((column for column in TEXT_COLUMNS if column in table.column_names), None)
    label = next((column for column in LABEL_COLUMNS if column in table.column_names), None)
    if text is None and label is None:
        raise UsageError(f"{path} has no column {', '.join(TEXT_COLUMNS)} or label")
    return table, text, label


def split_name(names: Container[str], split: str) -> str | None:
    """What a data set calls a split ("train", "dev" or "test"); None where it has none."""
    return next((name for name in SPLIT_NAMES[split] if name in names), None)


def no_such_split(path: Path, names: Sequence[str], split: str) -> UsageError:
    """The error for a data set whose splits are all others."""
    return UsageError(
        f"{path} has splits {', '.join(names)}, none is {split}", hint=f"name one: {path / names[0]}"
    )


def saved_dataset(path: Path, unpacked: Path, split: str) -> Manifest:
    """The rows of a saved data set, whose clips are unpacked.

    Args:
        path: of the data set.
        unpacked: directory for the clips.
        split: which of a dictionary of splits.

    Raises:
        UsageError: see `open_saved`.
    """
    import datasets

    table, text, label = open_saved(path, split)
    named = getattr(table.features[label], "int2str", str) if label is not None else str
    table = table.cast_column("audio", datasets.Audio(decode=False))
    target = unpacked / hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    target.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(path, separator=": row ")
    for number, entry in enumerate(table):
        if not entry["audio"]:
            manifest.bad(number, "no_audio", "no audio")
            continue
        said, class_ = (None if column is None else entry[column] for column in (text, label))
        try:
            name = None if class_ is None else named(class_)
        except ValueError:  # -1 where there is none
            manifest.bad(number, "no_reference", f"{class_} is no class of its {label}")
            continue
        file = _unpack(entry["audio"], path, target)
        # what is unpacked has a name that says where it comes from, the same in every run
        shown = f"{path}#{number}" if file.parent == target else str(file)
        source = Source(shown, file, text=None if said is None else str(said))
        manifest.rows.append(Row(source, name, line=number, place=manifest.place(number), repeats=True))
    return manifest


def _unpack(audio: Mapping[str, Any], path: Path, target: Path) -> Path:
    """The file of one clip: written from its bytes and named by them, or where the table says it lies."""
    name = Path(str(audio.get("path") or "clip.wav"))
    content: bytes | None = audio.get("bytes")
    if content is None:
        return name if name.is_absolute() else path / name
    file = target / f"{hashlib.sha256(content).hexdigest()[:24]}{name.suffix}"
    if not file.exists():
        # several processes of one training may unpack at once
        write_whole(file, content)
    return file

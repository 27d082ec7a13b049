"""Speech corpora as they are published: the transcripts of LibriSpeech, the tables of Common Voice, the lists
of Speech Commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sewcli.errors import UsageError
from sewcli.inputs.formats import AUDIO_EXTENSIONS
from sewcli.inputs.manifest import Manifest, Row
from sewcli.inputs.source import Source

_TRANSCRIPTS = "*.trans.txt"
#: directories of LibriSpeech
_PART = re.compile(r"(train|dev|test)-")
#: columns of Common Voice
_CLIP, _SENTENCE = "path", "sentence"
#: lists of Speech Commands; the clips that neither names are those to train on
_LISTS = {"dev": "validation_list.txt", "test": "testing_list.txt"}
#: long recordings beside the folders of its labels
_NOISE = "_background_noise_"


def has_transcripts(folder: Path) -> bool:
    """Whether a directory holds SPEAKER-CHAPTER.trans.txt, as LibriSpeech does."""
    return next(_files(folder), None) is not None


def transcripts(folder: Path) -> Manifest:
    """The utterances of LibriSpeech: lines "NAME TEXT" beside NAME.flac, or another format of audio.

    Raises:
        UsageError: a file of transcripts cannot be read, or these are parts for training and for testing.
    """
    manifest = Manifest(folder, separator=": utterance ")
    number = 0
    parts = sorted(entry for entry in folder.iterdir() if _PART.match(entry.name) and entry.is_dir())
    if len(parts) > 1:
        raise UsageError(f"{folder} holds the parts of a corpus", hint=f"name one: {parts[0]}")
    for file in sorted(_files(folder)):
        audio = {one.stem: one for one in file.parent.iterdir() if one.suffix[1:].lower() in AUDIO_EXTENSIONS}
        for line, content in _lines(file):
            number += 1
            name, _, text = content.strip().partition(" ")
            if not name:
                continue
            clip = audio.get(name, file.parent / f"{name}.flac")
            manifest.rows.append(Row(Source(str(clip), clip, text=text), line=number, place=f"{file}:{line}"))
    return manifest


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob(_TRANSCRIPTS) if not file.name.startswith("."))


def is_table(file: Path) -> bool:
    """Whether a file is a table with tabs, by its name."""
    return file.suffix.lower() == ".tsv"


def table(file: Path) -> Manifest:
    """The rows of a table of Common Voice: columns `path`, in `clips/` beside the table, and `sentence`.

    Raises:
        UsageError: it cannot be read, or has other columns.
    """
    manifest = Manifest(file)
    lines = (
        (number, content.rstrip("\r\n").split("\t")) for number, content in _lines(file) if content.strip()
    )
    _, columns = next(lines, (0, []))
    if _CLIP not in columns or _SENTENCE not in columns:
        raise UsageError(
            f"{file} is no table of Common Voice: it has no columns {_CLIP} and {_SENTENCE}",
            hint='write a manifest, one line a clip: {"audio_filepath": "a.wav", "text": "HELLO"}',
        )
    clips = file.parent / "clips"
    folder = clips if clips.is_dir() else file.parent
    for number, values in lines:
        row = dict(zip(columns, values, strict=False))
        name = row.get(_CLIP)
        if not name:
            manifest.bad(number, "not_a_row", f"it has no {_CLIP}")
            continue
        source = Source(str(folder / name), folder / name, text=row.get(_SENTENCE, ""))
        manifest.rows.append(Row(source, line=number, place=manifest.place(number)))
    return manifest


def has_lists(folder: Path) -> bool:
    """Whether a directory holds the lists of Speech Commands."""
    return all((folder / name).is_file() for name in _LISTS.values())


def listed_clips(folder: Path, split: str) -> Manifest:
    """The clips of Speech Commands for "dev" or "test": lines "LABEL/NAME.wav" of its list.

    Raises:
        UsageError: the list cannot be read.
    """
    file = folder / _LISTS[split]
    manifest = Manifest(file)
    for number, content in _lines(file):
        if content.strip():
            clip = folder / content.strip()
            source = Source(str(clip), clip)
            manifest.rows.append(Row(source, clip.parent.name, line=number, place=manifest.place(number)))
    return manifest


def unlisted_clips(folder: Path, rows: list[Row]) -> list[Row]:
    """Those of the clips of Speech Commands that are to train on: no list names them.

    Raises:
        UsageError: a list cannot be read.
    """
    listed = {folder / line.strip() for name in _LISTS.values() for _, line in _lines(folder / name)}
    return [row for row in rows if row.label != _NOISE and row.source.file not in listed]


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {file}: {error}", hint="save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error

"""Logits kept in files, to be decoded again without the network.

One safetensors file an input: the tensor `logits`, float32 (T, V), and in its metadata all that decoding and
writing take from the recording, the model and the run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sewcli.audio.checks import cannot_open
from sewcli.chunking import FRAME_SECONDS
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import InputError
from sewcli.inputs.source import Source
from sewcli.results import ModelInfo

#: after the stem of the input
EXTENSION = ".logits.safetensors"
#: of the metadata
VERSION = 1
_LONGEST_HEADER = 100 << 20
#: seconds: more than any recording has, and by how much one is longer or shorter than its frames
_MOST_SECONDS, _SLACK = 1e8, 0.1
#: what a file raises that is none of these
_NOT_ONE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError)


@dataclass(frozen=True)
class Run:
    """What the logits of a run have in common.

    Attributes:
        model: that makes them.
        vocabulary: that reads them.
        settings: of the network and its chunks, all that can change them.
    """

    model: ModelInfo
    vocabulary: Vocabulary
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class SavedLogits:
    """The logits of one recording, and what is known of it.

    Attributes:
        source: the recording that was read, its file in the place of the audio.
        duration: of the audio that was read, in seconds.
        run: see `Run`.
        logits: shape (T, V), mapped from the file.
    """

    source: Source
    duration: float
    run: Run
    logits: NDArray[np.float32]

    @classmethod
    def read(cls, file: Path) -> SavedLogits:
        """Read the header of a file and map its values.

        Raises:
            InputError: it is not there, not of this kind, cut or damaged.
        """
        try:
            with file.open("rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                header = json.loads(stream.read(size)) if 0 < size <= _LONGEST_HEADER else {}
            if "__metadata__" not in header:
                raise ValueError("it has no header of theirs")
            place = header["logits"]
            metadata = {key: json.loads(header["__metadata__"][key]) for key in _KEYS}
            shape = tuple(place["shape"])
            if metadata["version"] != VERSION:
                raise InputError(
                    f"{file}: its logits were saved in version {metadata['version']} of the format",
                    hint="decode them with the version of sew that saved them",
                    code="unknown_version",
                )
            logits = np.memmap(
                file, dtype="<f4", mode="r", offset=8 + size + place["data_offsets"][0], shape=shape
            )
            known = metadata["vocabulary"]
            vocabulary = Vocabulary(
                tuple(known["tokens"]), known["blank"], known["delimiter"], frozenset(known["special"])
            )
            if len(shape) != 2 or shape[1] != len(vocabulary.tokens):
                raise ValueError("its logits do not fit its vocabulary")
            model = ModelInfo(**metadata["model"])
            _check(metadata, place, logits)
        except OSError as error:
            raise cannot_open(str(file), error) from error
        except _NOT_ONE as error:
            reason = " ".join(str(error).split())[:100]
            raise InputError(
                f"{file}: no logits that `sew transcribe --save-logits` has written, or damaged ({reason})",
                hint="save them again",
                code="damaged_logits",
            ) from error
        source = Source(
            metadata["path"],
            file,
            metadata["offset"],
            metadata["part"],
            root=metadata["root"],
            channel=metadata["channel"],
        )
        return cls(source, metadata["duration"], Run(model, vocabulary, metadata["settings"]), logits)


def seconds_of(source: Source) -> float:
    """Seconds of the audio whose logits are in the source's file (InputError where they cannot be read)."""
    return SavedLogits.read(source.file).duration


def _check(metadata: dict[str, Any], place: dict[str, Any], logits: NDArray[np.float32]) -> None:
    """Refuse what a file of these never holds (ValueError)."""
    seconds = (metadata["duration"], metadata["offset"])
    if any(type(value) not in (int, float) or not 0 <= value < _MOST_SECONDS for value in seconds):
        raise ValueError("its times are no seconds")
    if abs(metadata["duration"] - logits.shape[0] * FRAME_SECONDS) > _SLACK:
        raise ValueError("its duration is not that of its frames")
    model = metadata["model"]
    words = [
        metadata["path"],
        model["id"],
        *(one for one in (metadata["root"], model["revision"]) if one is not None),
    ]
    numbers = [one for one in (metadata["channel"], metadata["part"]) if one is not None]
    if any(type(one) is not str for one in words) or any(type(one) not in (int, float) for one in numbers):
        raise ValueError("its recording or its model is none")
    path, root = metadata["path"], metadata["root"]
    os.fsencode(path)  # a ValueError where no file can have that name
    if "\0" in path or (root is not None and not Path(path).is_relative_to(root)):
        raise ValueError("its recording has no such name")
    shifts = (model.get("start_offset", 0.0), model.get("end_offset", 0.0))
    if any(type(one) not in (int, float) or not abs(one) < _MOST_SECONDS for one in shifts):
        raise ValueError("its model has no such offsets")
    if not isinstance(metadata["settings"], dict):
        raise ValueError("its settings are none")  # noqa: TRY004 - of its content
    _check_vocabulary(**metadata["vocabulary"])
    first, last = place["data_offsets"]
    if place["dtype"] != "F32" or first < 0 or last - first != logits.nbytes:
        raise ValueError("its logits are of another size")


def _check_vocabulary(tokens: list[Any], blank: Any, delimiter: Any, special: list[Any]) -> None:
    """Refuse one that no model has (ValueError)."""
    "".join(tokens).encode()  # a TypeError where one is no text, a ValueError where it is none of Unicode
    roles = [blank, *special, *([] if delimiter is None else [delimiter])]
    if any(type(one) is not int or not 0 <= one < len(tokens) for one in roles):
        raise ValueError("its vocabulary has no such tokens")
    spelled = [token for index, token in enumerate(tokens) if index not in roles and token.strip()]
    if len(set(spelled)) < len(spelled):
        raise ValueError("its vocabulary has a token twice")


_KEYS = (
    *("version", "path", "root", "offset", "part", "channel", "duration"),
    *("model", "vocabulary", "settings"),
)


def metadata_of(source: Source, duration: float, run: Run) -> dict[str, Any]:
    """Of one file, by _KEYS; each value is JSON."""
    model, vocabulary = run.model, run.vocabulary
    metadata = (
        *(VERSION, source.path, source.root, source.offset, source.duration, source.channel, duration),
        asdict(model),
        {
            "tokens": vocabulary.tokens,
            "blank": vocabulary.blank,
            "delimiter": vocabulary.delimiter,
            "special": sorted(vocabulary.special),
        },
        dict(run.settings),
    )
    # as ASCII, in which the name of a file that is not UTF-8 has its place too
    return {key: json.dumps(value) for key, value in zip(_KEYS, metadata, strict=True)}

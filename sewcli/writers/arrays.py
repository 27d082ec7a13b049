"""Hidden states as .npy, .npz and .safetensors, in pieces: they can be larger than memory.

.npz and .safetensors hold the metadata too, the object of the format json: a string `metadata` beside the
arrays, or the strings of `__metadata__`. Files in .npy have none; `-f json` writes it beside them. They hold
one array, so no attentions.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from sewcli.results import Embedding
from sewcli.writers import jsonl
from sewcli.writers.layout import Layout, Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Arrays = Mapping[str, "NDArray[np.float32]"]

#: bytes of an array in one piece
_PIECE_BYTES = 1 << 20


def write_npy(result: Result, layout: Layout) -> Iterator[bytes]:  # noqa: ARG001 - nothing is open
    """The states alone; a failure has none."""
    if isinstance(result, Embedding):
        yield from npy(result.states)


def write_npz(result: Result, layout: Layout) -> Iterator[bytes]:  # noqa: ARG001 - nothing is open
    """An archive of arrays and `metadata`, not compressed: `numpy.load(file)["states"]`."""
    if isinstance(result, Embedding):
        yield from npz(_arrays(result), jsonl.as_object(result))


def write_safetensors(result: Result, layout: Layout) -> Iterator[bytes]:  # noqa: ARG001 - nothing is open
    """The tensors and their metadata."""
    if isinstance(result, Embedding):
        yield from safetensors(_arrays(result), jsonl.as_object(result))


def _arrays(result: Embedding) -> Arrays:
    """By name: `states`, and `attentions.0`, `attentions.1` ... of the chunks."""
    named = {f"attentions.{i}": chunk.weights for i, chunk in enumerate(result.attentions or ())}
    return {"states": result.states, **named}


def npy(states: NDArray[np.float32]) -> Iterator[bytes]:
    """The file format of numpy.lib.format, version 1.0."""
    import numpy as np

    header, file_format = io.BytesIO(), cast(Any, np.lib.format)  # it carries no types
    file_format.write_array_header_1_0(header, file_format.header_data_from_array_1_0(states))
    yield header.getvalue()
    yield from _pieces(states)


def npz(arrays: Arrays, metadata: dict[str, Any]) -> Iterator[bytes]:
    """The archive of numpy.savez: the arrays by name, and the metadata as JSON."""
    import numpy as np

    stream = _Stream()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in (*arrays.items(), ("metadata", np.array(json.dumps(metadata)))):
            # a fixed date: the same states are the same file
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                for piece in npy(array):
                    member.write(piece)
                    yield stream.taken()
    yield stream.taken()


def safetensors(arrays: Arrays, metadata: dict[str, Any]) -> Iterator[bytes]:
    """The safetensors format: length of the header, header, values; the library wants them all in memory.

    Args:
        arrays: the tensors by name.
        metadata: goes into the header; values that are no strings as JSON.
    """
    texts = {key: _text(value) for key, value in metadata.items()}
    header: dict[str, Any] = {"__metadata__": texts}
    done = 0
    for name, array in arrays.items():
        offsets = [done, done + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        done += array.nbytes
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % 8)
    yield len(written).to_bytes(8, "little") + written
    for array in arrays.values():
        yield from _pieces(array)


def _pieces(states: NDArray[np.generic]) -> Iterator[bytes]:
    """The values, little-endian, the last axis fastest."""
    if states.ndim == 0:
        yield states.tobytes()
        return
    values = states.reshape(-1)
    step = max(1, _PIECE_BYTES // states.itemsize)
    for start in range(0, values.size, step):
        yield values[start : start + step].tobytes()


def _text(value: Any) -> str:
    """A value of the metadata, which may hold the name of a file that is not UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else json.dumps(value)


class _Stream(io.RawIOBase):
    """A file that can only be written to and hands on what was written."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._written += content
        return len(content)

    def taken(self) -> bytes:
        """What was written since the last time."""
        content = bytes(self._written)
        self._written.clear()
        return content

"""Output formats: a result in, bytes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from sewcli.writers import (
    arrays,
    csv,
    ctm,
    jsonl,
    lrc,
    parquet,
    srt,
    stm,
    text,
    textgrid,
    trn,
    tsv,
    verbose_json,
    vtt,
)
from sewcli.writers.layout import Layout, Result

__all__ = ["FORMATS", "Format", "Kind", "Layout", "Result", "formats_for"]

Kind = Literal["transcript", "labels", "alignment", "features"]


@dataclass(frozen=True)
class Format:
    """One output format.

    Attributes:
        name: of the option -f.
        extension: of files in this format.
        write: a result to bytes, or to pieces of them where it may be large.
        times: whether it does without the times of words, holds them unless the user says otherwise, or
            cannot be written without them.
        header: what stands once in front of all results, or None.
        joins: results of several inputs can follow each other, as on standard output.
        by_name: inputs are told apart by the name of their file alone.
        for_labels: `sew classify` has it too.
        require: raises UsageError where a library that it needs is not installed.
    """

    name: str
    extension: str
    write: Callable[[Result, Layout], bytes | Iterator[bytes]]
    times: Literal["unused", "optional", "needed"] = "needed"
    header: Callable[[Layout], bytes] | None = None
    joins: bool = True
    by_name: bool = False
    for_labels: bool = False
    require: Callable[[], None] | None = None

    def pieces(self, result: Result, layout: Layout) -> Iterator[bytes]:
        """The bytes of a result, a piece at a time."""
        content = self.write(result, layout)
        return iter([content]) if isinstance(content, bytes) else content


FORMATS = {
    form.name: form
    for form in (
        Format("text", ".txt", text.write, "unused", for_labels=True),
        Format("json", ".json", jsonl.write, "optional", for_labels=True),
        Format("verbose_json", ".verbose.json", verbose_json.write),
        Format("srt", ".srt", srt.write, joins=False),
        Format("vtt", ".vtt", vtt.write, joins=False),
        Format("tsv", ".tsv", tsv.write, header=tsv.header),
        Format("csv", ".csv", csv.write, header=csv.header),
        Format("lrc", ".lrc", lrc.write, joins=False),
        Format("ctm", ".ctm", ctm.write, by_name=True),
        Format("stm", ".stm", stm.write, "unused", by_name=True),
        Format("trn", ".trn", trn.write, "unused", by_name=True),
        Format("textgrid", ".TextGrid", textgrid.write, joins=False),
        Format(
            "parquet", ".parquet", parquet.write, "optional", joins=False, require=parquet.require_pyarrow
        ),
    )
}


#: of hidden states
ARRAY_FORMATS = {
    form.name: form
    for form in (
        Format("npy", ".npy", arrays.write_npy, "unused", joins=False),
        Format("npz", ".npz", arrays.write_npz, "unused", joins=False),
        Format("safetensors", ".safetensors", arrays.write_safetensors, "unused", joins=False),
        Format("json", ".json", jsonl.write, "unused"),
    )
}


def formats_for(kind: Kind) -> dict[str, Format]:
    """The formats that can hold results of a kind, the default one first."""
    match kind:
        case "transcript":
            return FORMATS
        case "labels":
            return {name: form for name, form in FORMATS.items() if form.for_labels}
        case "alignment":
            return {name: form for name, form in FORMATS.items() if form.times != "unused"}
        case "features":
            return ARRAY_FORMATS

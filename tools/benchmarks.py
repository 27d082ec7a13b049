"""Write docs/benchmarks.md, or another page, from `sew bench`: `python tools/benchmarks.py [PAGE]`.

It takes ten to twenty minutes. `python tools/benchmarks.py PAGE cuda` measures what a card is for. The page
is there from the first table on: a run that is ended early has made what it was through with.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sewcli.bench.table import Table
from sewcli.bench.timing import run_process, sew_command

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Made by `python tools/benchmarks.py` from `sew bench` on an idle machine, the one named first: ratios of runs
that take turns, with the same weights. Run it to have those of yours (it takes the path of another page);
`sew bench --quick` takes a tenth of the audio.
"""
ALL_SIZES = "-m sew-tiny -m sew-d-tiny -m sew-mid -m sew-d-mid"
#: what is measured, and what a reader should know of it
MEASUREMENTS = (
    (
        f"network --repeats 3 --dtype float32 --dtype bfloat16 --dtype int8 {ALL_SIZES}",
        "transformers computes in float32 in all rows. It has a process of its own, and its eager attention.",
    ),
    (f"network --repeats 3 --seconds 8 {ALL_SIZES}", "The same for a short clip."),
    ("paper --repeats 2", ""),
    ("start --repeats 3", "The pipeline imports transformers, and librosa where there is no ffmpeg."),
    ("many-files --repeats 1", "The pipeline gives other texts in batches, because it pads."),
    ("long-file --repeats 1", "By default the pipeline computes each second 1.5 times, sew 1.1 times."),
    ("audio --repeats 2", ""),
    ("memory --repeats 1", ""),
    ("threads --repeats 2", ""),
    ("chunks --repeats 2", ""),
)
#: the same on a card
_SIZES = "-m sew-tiny -m sew-d-mid"
ON_A_CARD = (
    (f"network --repeats 5 --dtype float32 --dtype bfloat16 --dtype float16 {_SIZES}", ""),
    ("network --repeats 5 --dtype bfloat16 --compile -m sew-d-mid", ""),
    ("many-files --quick --repeats 1 --dtype bfloat16 -m sew-tiny", ""),
    ("many-files --quick --repeats 1 --dtype bfloat16 -m sew-d-mid", ""),
    ("many-files --quick --repeats 1 --dtype bfloat16 --compile -m sew-d-mid", ""),
)


def main() -> None:
    """Measure all and write the page; what is done is told on standard error."""
    if {"-h", "--help"} & {*sys.argv[1:]}:
        print(__doc__)
        return
    page = Path(sys.argv[1]) if sys.argv[1:] else PAGE
    measurements = MEASUREMENTS
    if device := " ".join(sys.argv[2:]):
        measurements = tuple((f"{arguments} --device {device}", note) for arguments, note in ON_A_CARD)
    sections: list[str] = []
    for arguments, note in measurements:
        print(f"sew bench {arguments}", file=sys.stderr, flush=True)
        machine, *tables = run(arguments)
        if not sections:
            sections.append(machine.markdown())
        sections += [section(arguments, note, table) for table in tables]
        page.write_text("\n".join([HEAD, *sections]), encoding="utf-8")


def run(arguments: str) -> Iterator[Table]:
    """The tables of one run, that of the machine first."""
    done = run_process(sew_command("bench", *shlex.split(arguments), "-f", "json", "-q"))
    for line in done.splitlines():
        yield table_of(json.loads(line))


def table_of(record: dict[str, Any]) -> Table:
    """A table from its JSON."""
    rows = tuple(tuple(row) for row in record["rows"])
    return Table(record["name"], record["title"], tuple(record["columns"]), rows)


def section(arguments: str, note: str, table: Table) -> str:
    """A table under its heading, the command that made it, and what it shows."""
    heading, _, rest = table.markdown().partition("\n\n")
    told = f"\n{note}\n" if note else ""
    return f"{heading}\n\n```\nsew bench {arguments}\n```\n\n{rest}{told}"


if __name__ == "__main__":
    main()

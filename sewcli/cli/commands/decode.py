"""`sew decode`: text of logits that `sew transcribe --save-logits` has kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sewcli.casing import AS_IS
from sewcli.cli.options import decoding as dec
from sewcli.cli.options import files, groups
from sewcli.cli.options.grouping import grouped
from sewcli.errors import InputError, UsageError

if TYPE_CHECKING:
    from sewcli.inputs.source import Source


@grouped
def decode(
    *,
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="LOGITS", help="Files of --save-logits, or directories of them."),
    ],
    formats: files.Formats = None,
    writing: groups.Writing,
    paths: groups.Paths,
    cues: groups.Cues,
    timestamps: files.Timestamps = None,
    decoders: groups.Decoders,
    n_best: dec.NBest = 1,
    case: dec.LetterCase = AS_IS,
    decode_workers: dec.DecodeWorkers = None,
    telling: groups.Telling,
) -> None:
    """Decode saved logits again, without the network: another beam, language model or hotwords.

    The results are those of `sew transcribe` on the recordings, under their names.

    sew transcribe recordings/ --save-logits logits/

    sew decode logits/ --lm builtin --alpha 0.7
    """
    from sewcli.cli.input_options import InputOptions
    from sewcli.cli.writing import tell_hotwords, write_all
    from sewcli.inputs.packed import Packed
    from sewcli.logits import seconds_of
    from sewcli.tasks.decoding import Decoding

    messages = telling.set_up()
    written = writing.options(formats, paths, cues=cues)
    decoding = decoders.checked(None, n_best, case)
    wanted = InputOptions(
        [str(path) for path in inputs],
        None,
        False,
        listed=Packed(_sources(inputs)),
        beside=decoders.read_files,
    )
    written.check(wanted)
    times = written.times(timestamps)
    lm_settings = decoding.found_lm.settings() if decoding.found_lm is not None else {}
    settings = asdict(decoding) | lm_settings | {"timestamps": times}
    # the logits, hashed as audio is, hold their model
    fingerprint = written.fingerprint_of({"id": "logits", "revision": ""}, settings, Path())
    if writing.dry_run:
        raise typer.Exit(written.dry_run(wanted, fingerprint, seconds=seconds_of))
    sink = written.open(wanted)
    display = messages.display_of(sink)
    task = Decoding(decoding, times, decode_workers=decode_workers)
    results = task.results(display.reading(sink.pending(fingerprint)))
    raise typer.Exit(write_all(tell_hotwords(results), sink, display, writing.failures))


def _sources(inputs: list[Path]) -> Iterator[Source]:
    """The recordings of the files, in order; a file that cannot be read stands for itself, and fails later.

    Raises:
        UsageError: a directory holds none.
    """
    from sewcli.inputs.source import Source
    from sewcli.logits import EXTENSION, SavedLogits

    for given in inputs:
        found = sorted(given.rglob(f"*{EXTENSION}")) if given.is_dir() else [given]
        if not found:
            raise UsageError(f"{given} holds no file *{EXTENSION}", hint="see sew transcribe --save-logits")
        for file in found:
            try:
                yield SavedLogits.read(file).source
            except InputError:
                yield Source(str(file), file)

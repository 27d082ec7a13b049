"""`sew decode`: text of logits that `sew transcribe --save-logits` has kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sewcli.cli import decoding_options as dec
from sewcli.cli import file_options as files
from sewcli.cli import options as opt
from sewcli.decoding.options import (
    DEFAULT_ALPHA,
    DEFAULT_BEAM_PRUNE_LOGP,
    DEFAULT_BEAM_WIDTH,
    DEFAULT_BETA,
    DEFAULT_HOTWORD_WEIGHT,
    DEFAULT_TOKEN_MIN_LOGP,
    DEFAULT_UNKNOWN,
)
from sewcli.errors import InputError, UsageError

if TYPE_CHECKING:
    from sewcli.sources import Source


def decode(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="LOGITS...", help="Files of --save-logits, or directories of them."),
    ],
    formats: files.Formats = None,
    output: files.OutputDirectory = None,
    output_template: files.OutputTemplate = None,
    overwrite: files.Overwrite = False,
    resume: files.Resume = False,
    dry_run: files.DryRun = False,
    with_path: files.WithPath = False,
    no_path: files.WithoutPath = False,
    max_chars: files.MaxChars = 42,
    max_lines: files.MaxLines = 2,
    max_gap: files.MaxGap = 1.0,
    max_duration: files.MaxDuration = 7.0,
    timestamps: Annotated[
        Literal["none", "word", "char"] | None,
        typer.Option(
            envvar="SEW_TIMESTAMPS",
            help="Times in formats that carry them; word by default in json.",
            rich_help_panel="Output",
        ),
    ] = None,
    decoder: dec.Decoder = None,
    beam_width: dec.BeamWidth = DEFAULT_BEAM_WIDTH,
    lm: dec.Lm = None,
    unigrams: dec.Unigrams = None,
    alpha: dec.Alpha = DEFAULT_ALPHA,
    beta: dec.Beta = DEFAULT_BETA,
    unk_score: dec.UnkScore = DEFAULT_UNKNOWN,
    hotword: dec.Hotword = None,
    hotwords_file: dec.HotwordsFile = None,
    hotword_weight: dec.HotwordWeight = DEFAULT_HOTWORD_WEIGHT,
    n_best: dec.NBest = 1,
    token_min_logp: dec.TokenMinLogp = DEFAULT_TOKEN_MIN_LOGP,
    beam_prune_logp: dec.BeamPruneLogp = DEFAULT_BEAM_PRUNE_LOGP,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    progress: opt.ProgressMode = "auto",
    no_progress: opt.NoProgress = False,
    debug: opt.Debug = False,
) -> None:
    """Decode saved logits again, without the network: another beam, language model or hotwords.

    The results are those of `sew transcribe` on the recordings, under their names.

    sew transcribe recordings/ --save-logits logits/

    sew decode logits/ --lm builtin --alpha 0.7
    """
    from sewcli.cli import run
    from sewcli.cli.request import InputOptions, OutputOptions
    from sewcli.logits import Decoding
    from sewcli.subtitles import Shape

    messages = run.Messages(quiet, verbose, debug, no_progress, progress)
    messages.set_up()
    written = OutputOptions(
        formats,
        output,
        output_template,
        overwrite,
        resume,
        with_path,
        no_path,
        shape=Shape(max_chars, max_lines, max_gap, max_duration),
    )
    decoding = dec.decoding_options(
        hotword,
        hotwords_file,
        decoder=decoder,
        beam_width=beam_width,
        hotword_weight=hotword_weight,
        lm=lm,
        unigrams=unigrams,
        alpha=alpha,
        beta=beta,
        unk_score=unk_score,
        n_best=n_best,
        token_min_logp=token_min_logp,
        beam_prune_logp=beam_prune_logp,
    )
    written.check()
    times = written.times(timestamps)
    wanted = InputOptions([str(path) for path in inputs], None, False, listed=tuple(_sources(inputs)))
    lm_settings = decoding.found_lm.settings() if decoding.found_lm is not None else {}
    settings = asdict(decoding) | lm_settings | {"timestamps": times}
    # the logits, hashed as audio is, hold their model
    fingerprint = written.fingerprint_of({"id": "logits", "revision": ""}, settings, Path())
    if dry_run:
        raise typer.Exit(written.dry_run(wanted, fingerprint))
    sink = written.open(wanted)
    display = messages.display(sink.total)
    results = Decoding(decoding, times).results(display.reading(sink.pending(fingerprint)))
    raise typer.Exit(run.write_all(run.tell_hotwords(results), sink, display))


def _sources(inputs: list[Path]) -> Iterator[Source]:
    """The recordings of the files, in order; a file that cannot be read stands for itself, and fails later.

    Raises:
        UsageError: a directory holds none.
    """
    from sewcli.logits import EXTENSION, SavedLogits
    from sewcli.sources import Source

    for given in inputs:
        found = sorted(given.rglob(f"*{EXTENSION}")) if given.is_dir() else [given]
        if not found:
            raise UsageError(f"{given} holds no file *{EXTENSION}", hint="see sew transcribe --save-logits")
        for file in found:
            try:
                yield SavedLogits.read(file).source
            except InputError:
                yield Source(str(file), file)

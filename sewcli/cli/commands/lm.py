"""`sew lm build`: an n-gram language model out of text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from sewcli.cli.options import shared as opt
from sewcli.cli.parser import CommandGroup
from sewcli.errors import SewError, UsageError

app = CommandGroup("Language models.")
_log = logging.getLogger("sewcli")


@app.callback()
def _group() -> None:
    """Language models."""


@app.command()
def build(
    texts: Annotated[
        list[str],
        typer.Argument(metavar="TEXT", help="UTF-8, a sentence a line, gzip or not; - for stdin."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", envvar="SEW_OUTPUT", metavar="FILE", help="ARPA; packed where it ends in .gz."
        ),
    ],
    order: Annotated[
        int,
        typer.Option(
            envvar="SEW_ORDER", min=2, max=6, help="Words in the longest n-gram; KenLM reads up to 6."
        ),
    ] = 3,
    prune: Annotated[
        str,
        typer.Option(
            envvar="SEW_PRUNE",
            metavar="COUNTS",
            help="Leave out n-grams seen so often or less: a number for each order, the last one for all "
            "above, as '0 0 1'.",
        ),
    ] = "0",
    normalizer: Annotated[
        Literal["none", "basic", "whisper-en"],
        typer.Option(envvar="SEW_NORMALIZER", help="What is done to the text; basic drops punctuation."),
    ] = "basic",
    case: Annotated[
        Literal["upper", "lower", "as-is", "sentence"],
        typer.Option(
            envvar="SEW_CASE",
            metavar="<upper|lower|as-is>",
            help="Letter case of the words; `--lm` folds them to that of the vocabulary.",
        ),
    ] = "lower",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", envvar="SEW_OVERWRITE", help="Replace FILE if it exists.")
    ] = False,
    quiet: opt.Quiet = False,
    debug: opt.Debug = False,  # noqa: ARG001 - read by main, before any command
) -> None:
    """Estimate an n-gram model with modified Kneser-Ney smoothing and write it as ARPA.

    Counts are held in memory, some 300 bytes a word of text: for more than 30 million words use lmplz.

    sew lm build sentences.txt more.txt.gz -o mine.arpa.gz --prune '0 0 1'

    sew transcribe talk.wav --lm mine.arpa.gz
    """
    from sewcli.atomic import write_whole
    from sewcli.cli.messages import set_up_messages
    from sewcli.cli.output.places import check_not_read, check_place, check_regular
    from sewcli.evaluation.normalizers import normalizer as find_normalizer
    from sewcli.inputs.standard_input import check_read_once
    from sewcli.lm.arpa import lines, packed
    from sewcli.lm.counting import count, read_text
    from sewcli.lm.smoothing import estimate, thresholds

    set_up_messages(quiet=quiet)
    if case == "sentence":
        raise UsageError("--case sentence: words have one case in a model", hint="upper, lower or as-is")
    check_read_once(texts)
    if str(output) == "-":
        raise UsageError("-o -: a language model is written to a file", hint="name one: -o mine.arpa.gz")
    check_regular("-o", output)
    check_not_read("-o", output, (Path(text) for text in texts if text != "-"))
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists", hint="add --overwrite to replace it")
    if not output.parent.is_dir():
        raise UsageError(f"{output}: there is no directory {output.parent}")
    check_place("-o", output)
    limits = thresholds(_numbers(prune), order)
    text = read_text(_sentences(texts, find_normalizer(normalizer), case))
    model = estimate(count(text, order), limits)
    for number, one in enumerate(model, start=1):
        if not one.kept.any():
            raise UsageError(
                f"no n-gram of order {number} is left",
                hint="use a smaller --order, lower --prune or more text",
            )
        if one.fell_back:
            _log.warning(
                "order %d: the text is too small to estimate discounts; those taken are %s",
                number,
                " ".join(f"{discount:g}" for discount in one.discounts),
            )
    content: Iterable[bytes] = lines(text.words, model)
    if output.suffix == ".gz":
        content = packed(content)
    try:
        write_whole(output, content)
    except OSError as error:
        raise SewError(f"cannot write {output}: {error.strerror}", code="output") from error
    sizes = ", ".join(f"{int(one.kept.sum())} of order {order}" for order, one in enumerate(model, start=1))
    words = text.ids.size - 2 * text.sentences
    _log.info("%s: %d words in %d sentences; n-grams: %s", output, words, text.sentences, sizes)


def _numbers(prune: str) -> list[int]:
    try:
        return [int(number) for number in prune.replace(",", " ").split()]
    except ValueError as error:
        raise UsageError(f"--prune {prune}: it is one number for each order", hint="as '0 0 1'") from error


def _sentences(texts: list[str], normalize: Callable[[str], str], case: str) -> Iterator[str]:
    """The lines of all texts, made alike."""
    from sewcli.lm.text import read_lines

    cases: dict[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower, "as-is": str}
    cased = cases[case]
    for name in texts:
        for line in read_lines(name):
            yield cased(normalize(line))

"""Options of the decoders, declared once for all commands that make text of logits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sewcli.casing import Case
from sewcli.cli.options.shared import workers
from sewcli.decoding.options import DEFAULT_ALPHA, DEFAULT_BEAM_WIDTH, DEFAULT_BETA, DecodingOptions

_DECODING = "Decoding"

Decoder = Annotated[
    Literal["greedy", "beam"] | None,
    typer.Option(
        "--decoder",
        envvar="SEW_DECODER",
        help="How logits become text; greedy, or beam where there is a language model.",
        rich_help_panel=_DECODING,
    ),
]
BeamWidth = Annotated[
    int | None,
    typer.Option(
        "--beam-width",
        envvar="SEW_BEAM_WIDTH",
        min=1,
        help=f"Prefixes kept; {DEFAULT_BEAM_WIDTH} where the model has no default.",
        rich_help_panel=_DECODING,
    ),
]
Lm = Annotated[
    str | None,
    typer.Option(
        "--lm",
        envvar="SEW_LM",
        metavar="builtin|FILE",
        help="Language model: builtin (English), an ARPA file (.gz or not) or a KenLM binary.",
        rich_help_panel=_DECODING,
    ),
]
Unigrams = Annotated[
    str | None,
    typer.Option(
        "--unigrams",
        envvar="SEW_UNIGRAMS",
        metavar="FILE",
        help="The words of the language model, one a line; needed for a binary.",
        rich_help_panel=_DECODING,
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        "--alpha",
        envvar="SEW_ALPHA",
        help=f"Weight of the language model; {DEFAULT_ALPHA:g} where the model has no default.",
        rich_help_panel=_DECODING,
    ),
]
Beta = Annotated[
    float | None,
    typer.Option(
        "--beta",
        envvar="SEW_BETA",
        help="Added for each word, against the language model's leaning to few; "
        f"{DEFAULT_BETA:g} where the model has no default.",
        rich_help_panel=_DECODING,
    ),
]
UnkScore = Annotated[
    float,
    typer.Option(
        "--unk-score",
        envvar="SEW_UNK_SCORE",
        help="Added for words that the language model does not know.",
        rich_help_panel=_DECODING,
    ),
]
Hotword = Annotated[
    list[str] | None,
    typer.Option(
        "--hotword",
        envvar="SEW_HOTWORD",
        help="A word or phrase to prefer (beam search; may be repeated; SEW_HOTWORD splits at spaces).",
        rich_help_panel=_DECODING,
    ),
]
HotwordsFile = Annotated[
    Path | None,
    typer.Option(
        "--hotwords-file",
        envvar="SEW_HOTWORDS_FILE",
        metavar="FILE",
        help="More of them, one a line; lines that begin with # are none.",
        rich_help_panel=_DECODING,
    ),
]
HotwordWeight = Annotated[
    float,
    typer.Option(
        "--hotword-weight", envvar="SEW_HOTWORD_WEIGHT", help="How strongly.", rich_help_panel=_DECODING
    ),
]
NBest = Annotated[
    int,
    typer.Option(
        "--n-best",
        envvar="SEW_N_BEST",
        min=1,
        max=1000,
        metavar="N",
        help="The N best transcripts with their scores, as alternatives in json (beam search).",
        rich_help_panel=_DECODING,
    ),
]
LetterCase = Annotated[
    Case,
    typer.Option(
        "--case",
        envvar="SEW_CASE",
        help="Letter case of the text: that of the vocabulary, or another; sentence: one capital, the first.",
        rich_help_panel=_DECODING,
    ),
]
TokenMinLogp = Annotated[
    float,
    typer.Option(
        "--token-min-logp",
        envvar="SEW_TOKEN_MIN_LOGP",
        help="Beam search tries no token below this log-posterior, but for the best of a frame.",
        rich_help_panel=_DECODING,
    ),
]
BeamPruneLogp = Annotated[
    float,
    typer.Option(
        "--beam-prune-logp",
        envvar="SEW_BEAM_PRUNE_LOGP",
        help="Beam search drops prefixes so much worse than the best one.",
        rich_help_panel=_DECODING,
    ),
]
DecodeWorkers = Annotated[
    int | None,
    typer.Option(
        "--decode-workers",
        envvar="SEW_DECODE_WORKERS",
        metavar="N|auto",
        parser=workers,
        help="Processes for beam search beside the network; auto by default, 0 for none. The text does not "
        "depend on it.",
        rich_help_panel=_DECODING,
    ),
]


def decoding_options(
    hotword: list[str] | None = None, hotwords_file: Path | None = None, **options: Any
) -> DecodingOptions:
    """What the options stand for, found good.

    Raises:
        UsageError: they do not go together, or a file that they name cannot be used.
    """
    hotwords = list(hotword or [])
    if hotwords_file is not None:
        from sewcli.decoding.hotwords import read_hotwords

        hotwords += read_hotwords(hotwords_file)
    decoding = DecodingOptions(hotwords=hotwords, **options)
    decoding.check()
    return decoding

"""Letter case of transcripts. Vocabularies have one, and a reader may want another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from sewcli.results import Span, Transcript

Case = Literal["as-is", "upper", "lower", "sentence"]
AS_IS: Case = "as-is"


def recased(transcript: Transcript, case: Case) -> Transcript:
    """The same transcript, its text, words, characters and alternatives in another letter case.

    Args:
        transcript: as the vocabulary spells it.
        case: "as-is"; "upper"; "lower"; or "sentence", lower case but for the first letter. A transcript
            without punctuation does not tell where other sentences begin.
    """
    if case == AS_IS:
        return transcript

    def spans(given: tuple[Span, ...] | None) -> tuple[Span, ...] | None:
        if given is None:
            return None
        spelled = _spelled([span.text for span in given], case)
        return tuple(replace(span, text=text) for span, text in zip(given, spelled, strict=True))

    alternatives = transcript.alternatives
    if alternatives is not None:
        alternatives = tuple(replace(one, text=_spelled([one.text], case)[0]) for one in alternatives)
    return replace(
        transcript,
        text=_spelled([transcript.text], case)[0],
        words=spans(transcript.words),
        chars=spans(transcript.chars),
        alternatives=alternatives,
    )


def _spelled(pieces: Sequence[str], case: Case) -> list[str]:
    """Pieces of one text, in order, in another case."""
    if case == "upper":
        return [piece.upper() for piece in pieces]
    lower = [piece.lower() for piece in pieces]
    if case == "lower":
        return lower
    for number, piece in enumerate(lower):
        for place, character in enumerate(piece):
            if character.isalpha():
                lower[number] = piece[:place] + character.upper() + piece[place + 1 :]
                return lower
    return lower

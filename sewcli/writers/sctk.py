"""What the formats of NIST's scoring toolkit (SCTK, sclite) have in common: ctm, stm and trn.

Their fields are separated by blanks, so blanks in the name of a file become underscores.
"""

from __future__ import annotations

import re

from sewcli.inputs.names import part_suffix, plain_stem
from sewcli.results import Transcript
from sewcli.writers.layout import Result, end_of


def word_of(path: str) -> str:
    """The name of a file without its extension as one word."""
    return re.sub(r"[\s()]", "_", plain_stem(path))


def suffix_of(result: Transcript) -> str:
    """What tells a transcript of a part of its file from one of the whole: see `part_suffix`."""
    end = None if result.offset is None else end_of(result)
    return part_suffix(result.offset, end, result.channel)


def channel_number(result: Result) -> int:
    """Channels count from 1; the mix is 1 too."""
    return 1 if result.channel is None else result.channel + 1


def encoded(text: str) -> bytes:
    """UTF-8, the bytes of a file name as they are on disk."""
    return text.encode("utf-8", "surrogateescape")

"""What the formats of NIST's scoring toolkit (SCTK, sclite) have in common: ctm, stm and trn.

Their fields are separated by blanks, so blanks in the name of a file become underscores.
"""

from __future__ import annotations

import re

from sewcli.inputs.names import plain_stem
from sewcli.writers.layout import Result


def word_of(path: str) -> str:
    """The name of a file without its extension as one word."""
    return re.sub(r"[\s()]", "_", plain_stem(path))


def channel_number(result: Result) -> int:
    """Channels count from 1; the mix is 1 too."""
    return 1 if result.channel is None else result.channel + 1


def encoded(text: str) -> bytes:
    """UTF-8, the bytes of a file name as they are on disk."""
    return text.encode("utf-8", "surrogateescape")

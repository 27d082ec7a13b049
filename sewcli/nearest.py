"""What a misspelt name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str], count: int = 1) -> list[str]:
    """Up to `count` of `names` that look like `name`, the most alike first; case does not matter."""
    spelt = {known.casefold(): known for known in names}
    return [spelt[match] for match in difflib.get_close_matches(name.casefold(), spelt, n=count)]


def meant(name: str, names: Iterable[str], count: int = 1) -> str:
    """The end of a sentence about an unknown name: "; did you mean X or Y?", or nothing."""
    close = nearest(name, names, count)
    return f"; did you mean {' or '.join(close)}?" if close else ""

"""Inputs of one name, where a format tells them apart by nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sewcli.inputs.sources import Source
from sewcli.writers.sctk import word_of


def named_apart(sources: Iterable[Source], form: str) -> Iterator[Source]:
    """The inputs, with an error where the name in a format of SCTK is that of another before.

    sclite would take what is said in both for one recording's. Parts and channels of one file share its name.
    The names are kept: some 200 MB for a million inputs.

    Args:
        sources: all inputs, in order.
        form: name of the format, of which one file holds all results.
    """
    known: dict[str, str] = {}
    for source in sources:
        name = word_of(source.path)
        other = known.setdefault(name, source.path)
        if other != source.path and source.error is None:
            problem = f"-f {form} names it {name}, as it does {other}: write them apart, with -o"
            yield replace(source, error=problem)
        else:
            yield source

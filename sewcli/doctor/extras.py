"""The extras of the package, by its own metadata."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def requirements(extra: str) -> Iterator[Requirement]:
    """What an extra brings on this machine and this Python."""
    from packaging.requirements import Requirement

    for text in importlib.metadata.requires("sewcli") or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        if requirement.name == "sewcli":
            for other in requirement.extras:
                yield from requirements(other)
        else:
            yield requirement


def missing(wanted: Iterable[Requirement]) -> Iterator[str]:
    """Those that are not installed, and those whose version does not do."""
    for requirement in wanted:
        name = f"{requirement.name}{requirement.specifier}"
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield name
        else:
            if not requirement.specifier.contains(version, prereleases=True):
                yield f"{name} (there is {version})"

"""The extras of the package, by its own metadata."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator


def missing_requirements(extra: str) -> Iterator[str]:
    """The requirements of an extra that are not installed, and those whose version does not do."""
    from packaging.requirements import Requirement

    for text in importlib.metadata.requires("sewcli") or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        if requirement.name == "sewcli":
            for other in requirement.extras:
                yield from missing_requirements(other)
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield wanted
        else:
            if not requirement.specifier.contains(version, prereleases=True):
                yield f"{wanted} (there is {version})"

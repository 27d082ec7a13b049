"""The directory of --save-logits: one file an input, planned before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sewcli.cli.atomic import check_writable, remove_stale, write_whole
from sewcli.cli.request import InputOptions
from sewcli.cli.targets import Template, plan
from sewcli.errors import SewError, UsageError
from sewcli.logits import EXTENSION
from sewcli.sources import Source
from sewcli.writers import Format


class LogitsDirectory:
    """Where logits are kept.

    Args:
        root: the directory.
        inputs: all of them, listed.
        replace: whether files that exist may be replaced.
        make: whether to make the directory, if it is not there.

    Raises:
        UsageError: files collide or exist, or the directory cannot be written to.
    """

    def __init__(self, root: Path, inputs: InputOptions, *, replace: bool, make: bool) -> None:
        form = Format("logits", EXTENSION, lambda _result, _layout: b"")
        planned = plan(root, inputs.sources(), [form], Template(), replace=replace)
        self._targets = {one.source: one.targets[0] for one in planned}
        if not make:
            return
        try:
            root.mkdir(parents=True, exist_ok=True)
            check_writable(root)
        except OSError as error:
            raise UsageError(
                f"--save-logits {root}: cannot be written to: {error.strerror}",
                hint="choose a directory that is yours to write",
            ) from error
        remove_stale({root} | {target.parent for target in self._targets.values()})

    def write(self, source: Source, content: Iterable[bytes]) -> None:
        """Write the file of an input (SewError where that cannot be)."""
        target = self._targets[source]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, content)
        except OSError as error:
            raise SewError(f"cannot write {target}: {error.strerror}", code="output") from error

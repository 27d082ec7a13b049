"""Files written beside the results, one an input: the logits of --save-logits, the pictures of --plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from sewcli.atomic import remove_stale, write_whole
from sewcli.cli.output.places import make_folder
from sewcli.cli.output.sinks import OF_ONE_FILE
from sewcli.cli.output.targets import BY_PATH, MIRRORED, Template, plan
from sewcli.errors import InputError, SewError, UsageError
from sewcli.inputs.source import Source
from sewcli.writers import Format


class Beside:
    """Where one file an input goes, planned before anything runs.

    Args:
        option: that asks for the files, for messages.
        root: the directory.
        extension: of the files.
        inputs: all of them.
        template: names the files below the directory.
        replace: whether files that exist may be replaced.

    Attributes:
        targets: the file of every input.

    Raises:
        UsageError: files collide or exist.
    """

    def __init__(
        self,
        option: str,
        root: Path,
        extension: str,
        inputs: Iterable[Source],
        template: Template,
        *,
        replace: bool,
    ) -> None:
        form = Format(extension.rpartition(".")[2], extension, lambda _result, _layout: b"")
        otherwise = f"or choose another {option}"
        pattern = root / BY_PATH.replace(".{ext}", extension)
        apart = f"give a pattern: {option} '{pattern}'"
        planned = plan(root, inputs, [form], template, replace=replace, otherwise=otherwise, apart=apart)
        self._option = option
        self._root = root
        self.targets: Mapping[Source, Path] = {one.source: one.targets[0] for one in planned if one.targets}

    def make(self) -> None:
        """Make the directory, if it is not there (UsageError where it cannot be written to)."""
        make_folder(self._option, self._root)
        remove_stale({self._root} | {target.parent for target in self.targets.values()})

    def write(self, source: Source, content: bytes | Iterable[bytes]) -> None:
        """Write the file of an input (InputError where it cannot have its name, SewError else)."""
        target = self.targets[source]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, content)
        except OSError as error:
            kind = InputError if error.errno in OF_ONE_FILE else SewError
            raise kind(f"cannot write {target}: {error.strerror}", code="output") from error


def in_pattern(path: Path) -> tuple[Path, str | None]:
    """The directory a pattern of files begins with, and the rest; None where it has no fields."""
    first = next((number for number, part in enumerate(path.parts) if "{" in part), None)
    if first is None:
        return path, None
    return Path(*path.parts[:first]), str(Path(*path.parts[first:]))


def logits_directory(where: Path, inputs: Iterable[Source], *, replace: bool) -> Beside:
    """Where --save-logits keeps logits: a directory, or a pattern with the fields of --output-template.

    Raises:
        UsageError: files collide or exist, or would not be found as logits.
    """
    from sewcli.logits import EXTENSION

    root, pattern = in_pattern(where)
    if pattern is not None and not pattern.endswith(EXTENSION):
        raise UsageError(f"--save-logits {where}: files of logits end in {EXTENSION}")
    template = Template(MIRRORED.replace(".{ext}", EXTENSION) if pattern is None else pattern)
    return Beside("--save-logits", root, EXTENSION, inputs, template, replace=replace)

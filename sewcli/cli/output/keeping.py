"""Files written beside the results, one an input: the logits of --save-logits, the pictures of --plot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sewcli.atomic import Folders, write_whole
from sewcli.cli.output.directory import OF_ONE_FILE
from sewcli.cli.output.places import make_folder
from sewcli.cli.output.plan import plan, with_names
from sewcli.cli.output.template import BY_PATH, MIRRORED, Template
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
        self._plan = plan(root, inputs, [form], template, replace=replace, otherwise=otherwise, apart=apart)
        self._option = option
        self._root = root
        self._folders = Folders()
        #: looked up only where names depend on them
        self._numbers: dict[Source, int] = {}
        if template.counts:
            for number, one in enumerate(self._plan, start=1):
                if self._numbers.setdefault(one.source, number) != number and one.targets:
                    raise UsageError(
                        f"{option}: {one.source.path} is given twice, and results cannot tell which is which",
                        hint="name an input once, or leave {index} out of the pattern",
                    )

    def named(self, source: Source) -> Source:
        """The source, which fails before it is read where its file has a name that is too long."""
        return source if source.error is not None else with_names(source, [self.target(source)])

    def target(self, source: Source) -> Path:
        """The file of an input that is no bad row of a manifest."""
        [file] = self._plan.files(source, self._numbers.get(source, 0))
        return file

    def make(self) -> None:
        """Make the directory, if it is not there (UsageError where it cannot be written to)."""
        make_folder(self._option, self._root)
        self._folders.make(self._root)

    def write(self, source: Source, content: bytes | Iterable[bytes]) -> None:
        """Write the file of an input (InputError where it cannot have its name, SewError else)."""
        target = self.target(source)
        try:
            self._folders.make(target.parent)
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

"""`--dry-run`: what a run would do, from the headers of the inputs alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sewcli.cli.console import report_failure
from sewcli.cli.output.apart import Names
from sewcli.cli.output.planned import Planned
from sewcli.cli.streams import write_lines, write_stdout
from sewcli.errors import EXIT_ALL_FAILED, EXIT_OK, EXIT_SOME_FAILED, InputError
from sewcli.inputs.names import part_suffix
from sewcli.inputs.source import Source
from sewcli.results import Failure


def dry_run(
    planned: Iterable[Planned],
    seconds: Callable[[Source], float | None],
    *,
    total: int | None = None,
    names: Names | None = None,
) -> int:
    """Print a line an input: path, seconds ("?" where only decoding would tell) and its files, with tabs.

    The last line is the number of inputs and the hours of their audio. Inputs that cannot be opened are
    reported as a run would report them; the exit code is the same, too.

    Args:
        planned: what is to do.
        seconds: of the audio of an input; InputError where that cannot be used.
        total: how many inputs there are with those that an earlier run has done; None where there are none.
        names: of the recordings, where the format has each once.
    """
    inputs = unknown = failed = 0
    length = 0.0
    for one in planned:
        try:
            lasting = seconds(one.source)
            if names is not None:
                names.take(one.source.path, part_suffix(*one.source.part, one.source.channel))
        except InputError as error:
            failed += 1
            report_failure(Failure(one.source.path, error.code, str(error)))
            continue
        inputs += 1
        length += lasting or 0.0
        unknown += lasting is None
        told = "?" if lasting is None else f"{lasting:.3f}"
        write_lines("\t".join([one.source.path, told, *map(str, one.targets)]))
    more = f", and {unknown} of unknown length" if unknown else ""
    noun = "input" if inputs == 1 else "inputs"
    write_stdout(f"total: {inputs} {noun}, {length / 3600:.3f} hours{more}\n".encode())
    if failed:
        done = total is not None and total > failed
        return EXIT_SOME_FAILED if inputs or done else EXIT_ALL_FAILED
    return EXIT_OK

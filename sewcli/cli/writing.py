"""Results to where they go, failures to where they are told, and the exit code of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sewcli.cli.console import Progress, report_failure
from sewcli.cli.ended import ended
from sewcli.cli.output.directory import Directory
from sewcli.cli.output.failures import FailureList
from sewcli.cli.output.sinks import Sink, StandardOutput
from sewcli.cli.output.stack import StackFile
from sewcli.decoding.tally import Tally
from sewcli.errors import EXIT_ALL_FAILED, EXIT_OK, EXIT_SOME_FAILED, InputError
from sewcli.results import Failure, KeywordEvent, Transcript
from sewcli.writers import Result


def tell_hotwords(results: Iterator[Transcript | Failure]) -> Iterator[Transcript | Failure]:
    """The results as they come; at their end a message on how often each hotword was found."""
    tally = Tally()
    with ended(results):
        for result in results:
            if isinstance(result, Transcript):
                tally.add(result.hotwords)
            yield result
    tally.report()


def write_all(
    results: Iterator[Result],
    output: StandardOutput | Directory | StackFile,
    progress: Progress,
    failures: Path | None = None,
) -> int:
    """Write all results to where they go, and failures to a file as well; close these; the exit code."""
    with output, FailureList(failures) as failed:
        code = finish(results, output, progress, failed)
    return EXIT_SOME_FAILED if code == EXIT_ALL_FAILED and output.done_before else code


def finish(results: Iterator[Result], sink: Sink, progress: Progress, failures: FailureList) -> int:
    """Write all results, report failures as they come; the exit code that tells how it went.

    Raises:
        KeyboardInterrupt: with what is there of the run.
    """
    done = failed = 0
    try:
        with progress, ended(results):
            for result in results:
                progress.make_room()
                failure = _written(result, sink)
                if failure is not None:
                    failed += 1
                    progress.fail()
                    report_failure(failure)
                    failures.add(failure)
                elif not isinstance(result, Failure | KeywordEvent):
                    done += 1
                    progress.advance(result)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(sink.kept(done)) from stop
    return exit_code(done, failed)


def exit_code(done: int, failed: int) -> int:
    """The exit code of a run with so many inputs done and failed."""
    if failed:
        return EXIT_SOME_FAILED if done else EXIT_ALL_FAILED
    return EXIT_OK


def _written(result: Result, sink: Sink) -> Failure | None:
    """Write a result; what has failed, in the input or in the writing of its files."""
    try:
        sink.write(result)
    except InputError as error:
        if sink.source is not None:
            return sink.source.failure(error.code, str(error))
        return Failure(result.path, error.code, str(error), result.channel, result.offset)
    return result if isinstance(result, Failure) else None

"""One source a channel: what --channel split makes of the inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import BinaryIO

from sewcli.audio.checks import shown
from sewcli.audio.decoding import decoding
from sewcli.audio.spool import on_disk
from sewcli.errors import AudioError
from sewcli.sources import Source


def channels_apart(
    sources: Iterable[Source], copies: ExitStack, stdin: BinaryIO | None = None
) -> Iterator[Source]:
    """Yield a source for each channel of each input, in order.

    The header of a file is read when its turn comes. A source that cannot be opened is passed on as it is
    and fails when it is read.

    Args:
        sources: what to read.
        copies: takes the temporary files of what can be read only once, standard input and pipes; they are
            deleted when it is closed.
        stdin: where the source "-" is read from; sys.stdin.buffer by default.
    """
    for source in sources:
        if source.error is not None:
            yield source
            continue
        with ExitStack() as opened:
            try:
                file = opened.enter_context(on_disk(source, stdin))
            except (AudioError, OSError):
                yield source
                continue
            on_file = replace(source, file=file)
            if file != source.file:
                copies.enter_context(opened.pop_all())
        try:
            with decoding(shown(source), file, 0.0, None) as native:
                channels = native.channels
        except (AudioError, OSError):
            yield on_file
            continue
        for channel in range(channels):
            yield replace(on_file, channel=channel)

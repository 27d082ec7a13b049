"""One source a channel: what --channel split makes of the inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

from sewcli.audio.checks import shown
from sewcli.audio.decoding import decoding
from sewcli.audio.spool import on_disk
from sewcli.errors import AudioError
from sewcli.inputs.source import Source


def channels_apart(sources: Iterable[Source], copies: ExitStack) -> Iterator[Source]:
    """Yield a source for each channel of each input, in order.

    The header of a file is read when its turn comes. A source that cannot be opened is passed on as it is
    and fails when it is read.

    Args:
        sources: what to read.
        copies: takes the temporary files of what can be read only once, standard input and pipes; they are
            deleted when it is closed.
    """
    for source in sources:
        if source.error is not None:
            yield source
            continue
        with ExitStack() as opened:
            try:
                file = opened.enter_context(on_disk(source))
            except (AudioError, OSError):
                yield source
                continue
            try:
                with decoding(shown(source), file, 0.0, None, source.raw) as native:
                    channels = native.channels
            except (AudioError, OSError):
                channels = 0
            # an address is fetched again for each channel: what is kept on disk does not grow
            on_file = source if source.is_url else replace(source, file=file)
            if on_file.file != source.file:
                copies.enter_context(opened.pop_all())
        if not channels:
            yield on_file
        for channel in range(channels):
            yield replace(on_file, channel=channel)

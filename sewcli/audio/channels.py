"""One source a channel: what --channel split makes of the inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

from sewcli.audio.checks import as_audio_error, shown
from sewcli.audio.decoding import decoding
from sewcli.audio.spool import on_disk
from sewcli.inputs.source import Source


def channels_apart(sources: Iterable[Source], copies: ExitStack) -> Iterator[Source]:
    """Yield a source for each channel of each input, in order.

    The header of a file is read when its turn comes. A source that cannot be opened becomes one that fails
    with what is wrong; one that has its channel stays as it is.

    Args:
        sources: what to read.
        copies: takes the temporary files of what can be read only once, standard input and pipes; they are
            deleted when it is closed.
    """
    for source in sources:
        if source.error is not None or source.channel is not None:
            yield source
            continue
        with ExitStack() as opened:
            try:
                file = opened.enter_context(on_disk(source))
                with decoding(shown(source), file, 0.0, None, source.raw) as native:
                    channels = native.channels
            except Exception as error:
                apart = [_failing(source, error)]
            else:
                # an address is fetched again for each channel: what is kept on disk does not grow
                on_file = source if source.is_url else replace(source, file=file)
                if on_file.file != source.file:
                    copies.enter_context(opened.pop_all())
                apart = [replace(on_file, channel=channel) for channel in range(channels)]
        yield from apart


def _failing(source: Source, error: Exception) -> Source:
    """The source with what keeps it from being opened: the mix of its channels is not what was asked for."""
    told = as_audio_error(shown(source), error)
    return replace(
        source,
        error=told.message.removeprefix(f"{shown(source)}: "),
        error_hint=told.hint,
        error_code=told.code,
    )

"""What audio must be like to be transcribed, and the errors that say how it is not.

Every error names the input, says what is wrong and what to do next, and has a stable code: not_found,
is_directory, permission, unreadable, empty_file, not_audio, damaged, no_samples, not_finite, out_of_scale,
sample_rate, channel, too_short, needs_ffmpeg, joined, download, offline, raw, source, unexpected.
"""

from __future__ import annotations

import itertools
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from sewcli.audio.dsp import Block
from sewcli.chunking import MIN_SAMPLES, SAMPLE_RATE
from sewcli.errors import AudioError
from sewcli.inputs.source import STDIN, Source
from sewcli.inputs.urls import presentable

_log = logging.getLogger("sewcli")
#: files of another length than their rows say: those that were met, and how many are told
_announced = itertools.count()
_ANNOUNCED = 5
#: seconds by which they may be wrong
_SLACK, _SLACK_OF_PART = 1.0, 0.2

#: the name of standard input in messages
STDIN_SHOWN = "standard input"
MIN_RATE = 1_000
MAX_RATE = 768_000
MAX_MAGNITUDE = 1e4
"""Full scale is 1; beyond this a float file is broken rather than loud."""

NOT_WHOLE = (
    "get the file again from where it comes from; what is left of it can be converted to wav with ffmpeg"
)


def shown(source: Source) -> str:
    """The name of a source in a message, always on one line, without the secrets of an address."""
    if source.path == STDIN:
        return STDIN_SHOWN
    return _on_one_line(presentable(source.path) if source.is_url else source.path)


def _on_one_line(path: str) -> str:
    return "".join(c if c.isprintable() or "\ud800" <= c <= "\udfff" else repr(c)[1:-1] for c in path)


def damaged(name: str, what: str) -> AudioError:
    """The error for a damaged or cut file."""
    return AudioError(f"{name}: damaged or cut: {what}", hint=NOT_WHOLE, code="damaged")


def joined(name: str, what: str) -> AudioError:
    """The error for a file with another recording in it, which cannot be read with the first."""
    return AudioError(
        f"{name}: another recording {what}",
        hint="give the recordings one by one, or join them with sox or ffmpeg",
        code="joined",
    )


def check_source(source: Source) -> None:
    """Raise AudioError for a source that is known not to be of use."""
    if source.error is not None:
        raise AudioError(f"{shown(source)}: {source.error}", hint=source.error_hint, code=source.error_code)


def check_place(name: str, file: Path) -> os.stat_result:
    """Raise AudioError unless there is something to read at a path; return its stat."""
    try:
        status = file.stat()
    except (OSError, ValueError) as error:
        raise cannot_open(name, error, file) from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(
            f"{name}: is a folder",
            hint="name its files; only a command reads folders, those on its command line",
            code="is_directory",
        )
    if not os.access(file, os.R_OK):
        raise cannot_open(name, PermissionError())
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise empty(name)
    return status


def cannot_open(name: str, error: OSError | ValueError, file: Path | None = None) -> AudioError:
    """The error for what the operating system says when a file is opened or read.

    `file` is the place that was tried, where it may be another than its name: a row of a manifest.
    """
    if isinstance(error, PermissionError):
        return AudioError(f"{name}: permission denied", hint="make it readable: chmod u+r", code="permission")
    # ValueError: no file can have this name (a NUL in it, or half a surrogate pair)
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
        hint = "check the path and the working directory"
        tried = name if file is None else _on_one_line(str(file))
        if os.path.normpath(tried) != os.path.normpath(name):
            hint = f"{tried} was tried: a path in a manifest begins where the manifest lies"
        return AudioError(f"{name}: no such file", hint=hint, code="not_found")
    reason = error.strerror or type(error).__name__
    return AudioError(
        f"{name}: cannot be read: {reason}", hint="check the path and the disk", code="unreadable"
    )


def tell_announced(name: str, source: Source, samples: int) -> None:
    """Warn where the row of a manifest gives a file another length, or more of it than there is.

    Args:
        name: of the source in messages.
        source: which was read.
        samples: how many there are of it.
    """
    wanted, seconds = source.announced, samples / SAMPLE_RATE
    if wanted is None or source.channel:  # of --channel split the first tells for all
        return
    is_part = source.duration is not None
    if abs(seconds - wanted) <= max(_SLACK_OF_PART if is_part else _SLACK, 0.05 * wanted):
        return
    number = next(_announced)
    if number >= _ANNOUNCED:
        return
    told = (
        f"its row has a part of {wanted:.1f} s, of which the file holds {seconds:.1f} s: these are read"
        if is_part
        else f"{seconds:.1f} s, and its row has a duration of {wanted:.1f} s: all of it is read (a part "
        'begins with "offset", which may be 0)'
    )
    others = "; others of the kind are not told" if number == _ANNOUNCED - 1 else ""
    _log.warning("%s: %s%s", name, told, others)


def unexpected(name: str, error: Exception) -> AudioError:
    """The error for what no decoder should raise: it costs this input, and not the others of a run."""
    _log.debug("%s: cannot be read", name, exc_info=error)
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return AudioError(
        f"{name}: unexpected error while it is read: {reason}",
        hint="run it again with -v for the traceback, and report it",
        code="unexpected",
    )


def empty(name: str) -> AudioError:
    """The error for a file or pipe of 0 bytes."""
    return AudioError(
        f"{name}: is empty (0 bytes)", hint="check the program that wrote it", code="empty_file"
    )


def as_audio_error(name: str, error: Exception) -> AudioError:
    """The error of an input for whatever is raised while it is opened or read."""
    if isinstance(error, AudioError):
        return error
    # of an OSError the file is gone, or the disk fails, meanwhile
    return cannot_open(name, error) if isinstance(error, OSError) else unexpected(name, error)


def check_rate(name: str, rate: int) -> None:
    """Raise AudioError for a sample rate, in Hz, that no recording has."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{name}: sample rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be read",
            hint="the header may be wrong: correct it, or convert the file with ffmpeg -ar 16000",
            code="sample_rate",
        )


def check_channel(name: str, channel: int, channels: int) -> None:
    """Raise AudioError unless a file with `channels` channels has the one asked for."""
    if channel >= channels:
        there = "one channel, 0" if channels == 1 else f"{channels} channels, 0 to {channels - 1}"
        raise AudioError(
            f"{name}: no channel {channel}; it has {there}",
            hint="choose another one; `--channel split` reads each",
            code="channel",
        )


def checked(name: str, blocks: Iterable[Block], rate: int, start: float) -> Iterator[Block]:
    """Pass on blocks of shape (frames, channels) whose values are all finite and in scale.

    Args:
        name: the input, for messages.
        blocks: as decoded.
        rate: frames a second.
        start: the time of the first frame in its file, in seconds.

    Raises:
        AudioError: codes not_finite, out_of_scale and, at the end, no_samples.
    """
    position = 0
    for block in blocks:
        # Minimum and maximum carry a NaN along, so this one comparison finds all three faults.
        if not (block.min() >= -MAX_MAGNITUDE and block.max() <= MAX_MAGNITUDE):
            raise _bad_value(name, block, start + position / rate, rate)
        position += len(block)
        yield block
    if position == 0:
        where = f" from {start:g} s on" if start else ""
        raise AudioError(
            f"{name}: holds no samples{where}",
            hint="check the program that recorded or cut it",
            code="no_samples",
        )


def _bad_value(name: str, block: Block, start: float, rate: int) -> AudioError:
    magnitude = np.abs(block).max(axis=1)
    frame = int(np.argmax(~(magnitude <= MAX_MAGNITUDE)))
    at = f"at {start + frame / rate:.3f} s"
    value = block[frame][~(np.abs(block[frame]) <= MAX_MAGNITUDE)][0]
    if np.isfinite(value):
        return AudioError(
            f"{name}: a sample of {value:.3g} {at}; full scale is 1",
            hint="scale the float samples to -1 .. 1, or check how they were written",
            code="out_of_scale",
        )
    return AudioError(
        f"{name}: a sample is {'NaN' if np.isnan(value) else 'infinite'} {at}",
        hint="write the file again without NaN and Inf",
        code="not_finite",
    )


def check_length(name: str, samples: int) -> None:
    """Raise AudioError for fewer samples, at 16 kHz, than a model can read."""
    if samples < MIN_SAMPLES:
        milliseconds = samples * 1000 / SAMPLE_RATE
        raise AudioError(
            f"{name}: too short: {milliseconds:.3g} ms; "
            f"the models need {MIN_SAMPLES * 1000 // SAMPLE_RATE} ms or more",
            hint="leave it out, or pad it with silence",
            code="too_short",
        )

"""From a source to checked blocks of 16 kHz mono."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from sewcli.audio import live as live_audio
from sewcli.audio.arrays import ArraySource
from sewcli.audio.checks import (
    as_audio_error,
    check_channel,
    check_length,
    check_rate,
    check_source,
    checked,
    shown,
    tell_announced,
)
from sewcli.audio.decoding import decoding
from sewcli.audio.dsp import Block, one_channel, resample, to_mono
from sewcli.audio.libsndfile import name_for_libsndfile
from sewcli.audio.native import NativeAudio
from sewcli.audio.spool import on_disk
from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import SewError
from sewcli.inputs.source import Source
from sewcli.inputs.standard_input import standard_input

ENGINES = ("soundfile", "librosa")


def read_blocks(
    source: Source, *, engine: str = "soundfile", stdin: BinaryIO | None = None, live: bool = False
) -> Generator[Block, None, None]:
    """Yield the audio of a source as 1-D float32 blocks of 16 kHz mono, of any sizes.

    Together the blocks are librosa.load(file, sr=16000, mono=True, offset=, duration=), to 1e-6 or better, or
    for a source with a channel that channel of librosa.load(..., mono=False).
    Files are decoded in blocks: memory does not grow with their length. Nothing is opened before the first
    block is asked for, and everything is closed, and temporary files deleted, with the generator.

    Where librosa.load would lose audio or fail, all of it is read: MP3 with variable bitrate and no Xing
    header, FLAC of unknown length, Ogg and MP3 recordings that were joined, formats that need ffmpeg.

    Args:
        source: what to read; its path is the name in messages.
        engine: "soundfile" streams; "librosa" calls librosa.load (or librosa.resample, for what
            librosa.load cannot read), with the whole file in memory.
        stdin: where the source "-" is read from; sys.stdin.buffer by default.
        live: read WAV and raw samples on standard input while they are written, instead of their copy; a
            stream that breaks off has given blocks by then. Not with the engine librosa.

    Raises:
        ValueError: there is no such engine.
        AudioError: from the iterator, possibly after some blocks; the input as a whole has then failed.
            Its codes are listed in sewcli.audio.checks.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r} is not one of {', '.join(ENGINES)}")
    return _read(source, engine, stdin, live and engine != "librosa")


def _read(source: Source, engine: str, stdin: BinaryIO | None, live: bool) -> Generator[Block, None, None]:
    name = shown(source)
    check_source(source)
    try:
        samples = 0
        with _native(name, source, stdin, live) as (file, native):
            for block in _resampled(name, source, file, native, engine):
                samples += len(block)
                yield block
        check_length(name, samples)
        tell_announced(name, source, samples)
    except (SewError, MemoryError):
        raise
    except Exception as error:
        raise as_audio_error(name, error) from error


@contextmanager
def _native(
    name: str, source: Source, stdin: BinaryIO | None, live: bool
) -> Iterator[tuple[Path, NativeAudio]]:
    """The audio of a source with its own rate and channels, and the file it is in."""
    if isinstance(source, ArraySource):
        yield source.file, source.native()
        return
    if live and source.is_stdin:
        stream = stdin if stdin is not None else standard_input()
        with live_audio.reading(name, stream, source) as opened:
            if isinstance(opened, NativeAudio):
                yield source.file, opened
                return
        stdin = opened
    with (
        on_disk(source, stdin) as file,
        decoding(name, file, source.offset, source.duration, source.raw) as native,
    ):
        yield file, native


def _resampled(name: str, source: Source, file: Path, native: NativeAudio, engine: str) -> Iterator[Block]:
    check_rate(name, native.rate)
    blocks = native.blocks
    if source.channel is not None:
        check_channel(name, source.channel, native.channels)
        blocks = one_channel(blocks, source.channel)
    mono = (to_mono(block) for block in checked(name, blocks, native.rate, source.offset))
    if engine == "librosa":
        yield _with_librosa(source, file, native, mono)
    else:
        yield from resample(mono, native.rate)


def _with_librosa(source: Source, file: Path, native: NativeAudio, mono: Iterator[Block]) -> Block:
    import librosa

    decoded = np.concatenate(list(mono))  # this is what checks the file
    samples: Block
    if native.librosa_reads_it and source.channel is None:
        with soundfile.SoundFile(name_for_libsndfile(file)) as handle:
            samples, _ = librosa.load(
                handle, sr=SAMPLE_RATE, mono=True, offset=source.offset, duration=source.duration
            )
    else:
        samples = librosa.resample(decoded, orig_sr=native.rate, target_sr=SAMPLE_RATE)
    return samples

"""Decoding through the ffmpeg program, where PyAV is not installed or rejects a file.

ffmpeg writes an AU stream of 32 bit floats with the file's own rate and channels into a pipe, so that
mixing and resampling are the same as for every other file.
"""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from sewcli.audio.checks import damaged
from sewcli.audio.dsp import Block, block_frames, part
from sewcli.audio.native import NO_AUDIO_STREAM, NativeAudio, UnreadableError

_AU_HEADER = struct.Struct(">4sIIIII")
# What ffmpeg only mentions, with exit code 0, when a file ends too early or is damaged.
_SIGNS_OF_DAMAGE = ("prematurely", "partial file", "Error parsing", "exceeds containing", "CRC mismatch")


@contextmanager
def reading(
    name: str, file: Path, offset: float, duration: float | None, ffmpeg: str
) -> Iterator[NativeAudio]:
    """Decode [offset, offset + duration), in seconds, of a file's first audio stream.

    Raises:
        UnreadableError: ffmpeg finds no audio in it.
        AudioError: while reading: the file is damaged.
    """
    # -xerror: stop at damage. file: keeps names with a dash or a colon what they are, and the whitelist
    # keeps a playlist in disguise from opening addresses.
    command = [ffmpeg, "-nostdin", "-v", "error", "-xerror", "-protocol_whitelist", "file"]
    command += ["-i", f"file:{file}", "-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    with tempfile.TemporaryFile(prefix=".sew-") as messages:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages)
        assert process.stdout is not None
        try:
            rate, channels = _header(process, messages)
            blocks = _decode(name, process, messages, rate, channels)
            wanted = part(blocks, rate, offset, duration)
            yield NativeAudio(rate, channels, None, wanted, librosa_reads_it=False)
        finally:
            process.stdout.close()
            if process.poll() is None:
                process.kill()
            process.wait()


def _header(process: subprocess.Popen[bytes], messages: IO[bytes]) -> tuple[int, int]:
    assert process.stdout is not None
    head = process.stdout.read(_AU_HEADER.size)
    if len(head) < _AU_HEADER.size:
        process.wait()
        raise UnreadableError(_last_words(messages))
    _, start, _, _, rate, channels = _AU_HEADER.unpack(head)
    process.stdout.read(start - _AU_HEADER.size)
    return rate, channels


def _decode(
    name: str, process: subprocess.Popen[bytes], messages: IO[bytes], rate: int, channels: int
) -> Iterator[Block]:
    assert process.stdout is not None
    frame_bytes = 4 * channels
    wanted = block_frames(rate, channels) * frame_bytes
    position = 0
    while data := process.stdout.read(wanted):
        whole = len(data) // frame_bytes * frame_bytes
        block = np.frombuffer(data[:whole], ">f4").astype(np.float32).reshape(-1, channels)
        position += len(block)
        yield block
    failed = process.wait() != 0
    words = _tail(messages)
    if failed or any(sign in words for sign in _SIGNS_OF_DAMAGE):
        raise damaged(name, f"ffmpeg stops at {position / rate:.3f} s: {_last_words(messages)}")


def _tail(messages: IO[bytes]) -> str:
    end = messages.seek(0, 2)
    messages.seek(max(0, end - 4096))
    return messages.read().decode("utf-8", "replace")


def _last_words(messages: IO[bytes]) -> str:
    text = _tail(messages)
    if "matches no streams" in text:
        return NO_AUDIO_STREAM
    lines = [line for line in text.splitlines() if line.strip() and "Last message repeated" not in line]
    last = lines[-1] if lines else "no message"
    last = re.sub(r"^(\[[^\]]*\]\s*)+", "", last)
    return re.sub(r"^file:.*: ", "", last).strip()

"""Decoding through PyAV, whose wheels carry the libraries of ffmpeg: m4a, aac, mp4, mkv, webm, mov, wma."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sewcli.audio.checks import damaged
from sewcli.audio.dsp import Block, part
from sewcli.audio.native import NO_AUDIO_STREAM, NativeAudio, UnreadableError

#: seconds; priming and padding of a codec may be counted in a header or not
_SLACK = 0.25
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@contextmanager
def reading(name: str, file: Path, offset: float, duration: float | None) -> Iterator[NativeAudio]:
    """Decode [offset, offset + duration), in seconds, of a file's first audio stream.

    Raises:
        UnreadableError: PyAV finds no audio in it.
        AudioError: while reading: the file is damaged.
    """
    import av

    # An open file, whatever its name looks like; the whitelist keeps a playlist in disguise from opening
    # addresses.
    with file.open("rb") as stream:
        try:
            container: Any = av.open(stream, options={"protocol_whitelist": "file"}, **_tolerant())
        except (av.FFmpegError, ValueError) as error:
            raise UnreadableError(_words(error)) from error
        with container:
            if not container.streams.audio:
                raise UnreadableError(NO_AUDIO_STREAM)
            decoder = _Decoder(name, container, container.streams.audio[0])
            blocks = part(decoder.blocks(), decoder.rate, offset, duration)
            yield NativeAudio(
                decoder.rate, decoder.channels, decoder.announced, blocks, librosa_reads_it=False
            )


def _tolerant() -> dict[str, Any]:
    """Pass over titles and the like that are not UTF-8, as PyAV does by itself since its version 19."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


class _Decoder:
    """Frames of one audio stream as 32 bit floats, with the rate and the channels of the first of them.

    Those in the header may be other ones: AAC with spectral band replication announces half its rate.
    """

    def __init__(self, name: str, container: Any, stream: Any) -> None:
        self._name = name
        self._stream = stream
        self._position = 0
        self._frames = self._decoded(container)
        try:
            first = next(self._frames)
        except StopIteration as error:
            raise UnreadableError("its audio stream is empty") from error
        self._first = first
        self.rate = int(first.sample_rate)
        self.channels = int(first.layout.nb_channels)
        self._announced = self._seconds_announced()
        #: of the whole file, by its header
        self.announced = None if self._announced is None else round(self._announced * self.rate)

    def _seconds_announced(self) -> float | None:
        """The length of the stream by its header; None where that guesses or has the longest stream's."""
        stream, container = self._stream, self._stream.container
        if "mp4" in container.format.name and stream.duration is not None:
            return float(stream.duration * stream.time_base)
        if "matroska" in container.format.name:
            end = _clock(stream.metadata.get("DURATION", ""))
            if end is None and len(container.streams) == 1 and container.duration is not None:
                end = container.duration / 1e6
            # these count from the beginning of the file
            return end and end - float((stream.start_time or 0) * stream.time_base)
        return None

    def blocks(self) -> Iterator[Block]:
        """Arrays of shape (frames, channels); AudioError where the file is damaged."""
        try:
            yield from self._converted(self._first)
            for frame in self._frames:
                yield from self._converted(frame)
        finally:
            self._frames.close()  # it holds this object, which holds it
        seconds = self._position / self.rate
        if self._announced is not None and seconds < self._announced - _SLACK:
            raise damaged(
                self._name, f"it ends at {seconds:.3f} s; the header announces {self._announced:.3f} s"
            )

    def _decoded(self, container: Any) -> Generator[Any, None, None]:
        import av

        try:
            for packet in container.demux(self._stream):
                if packet.is_corrupt:
                    raise self._stopped("a packet is not whole")
                yield from packet.decode()
        except (av.FFmpegError, ValueError) as error:
            if self._position == 0 and not hasattr(self, "rate"):
                raise UnreadableError(_words(error)) from error
            raise self._stopped(_words(error)) from error

    def _stopped(self, why: str) -> Exception:
        at = self._position / self.rate if self._position else 0.0
        return damaged(self._name, f"decoding fails near {at:.3f} s ({why})")

    def _converted(self, frame: Any) -> Iterator[Block]:
        # a stream may change its format on the way
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != getattr(self, "_form", None):
            import av

            self._form = form
            self._resampler = av.AudioResampler(format="flt", layout=self._first.layout, rate=self.rate)
        for piece in self._resampler.resample(frame):
            block = np.array(piece.to_ndarray().reshape(-1, self.channels), np.float32)
            self._position += len(block)
            if len(block):
                yield block


def _clock(text: str) -> float | None:
    """Seconds of "00:01:02.500000000"."""
    found = _CLOCK.match(text)
    return found and int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])


def _words(error: Exception) -> str:
    """What went wrong, without the number and the name of the file."""
    words = getattr(error, "strerror", None) or str(error)
    return " ".join(str(words).split())

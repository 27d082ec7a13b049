"""Logits of one recording to a file, on their way to another consumer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from sewcli.decoding.frames import FrameFile
from sewcli.inputs.source import Source
from sewcli.logits import Run, metadata_of
from sewcli.pipeline.consumer import Consumer
from sewcli.reading.recording import Recording
from sewcli.results import Failure, Transcript
from sewcli.writers.arrays import safetensors


class Saver(Consumer[Transcript | Failure]):
    """Consumer of one recording that writes its logits to a file and hands them on.

    Args:
        consumer: makes the result.
        run: goes into the file.
        write: takes the source and the content of its file (SewError where it cannot be written).
    """

    def __init__(
        self,
        consumer: Consumer[Transcript | Failure],
        run: Run,
        write: Callable[[Source, Iterable[bytes]], None],
    ) -> None:
        self._consumer = consumer
        self._run = run
        self._write = write
        self._frames = FrameFile(len(run.vocabulary.tokens))

    def push(self, output: NDArray[np.float32]) -> None:
        """Take in the kept frames of the next chunk, shape (T, V)."""
        self._frames.append(output)
        self._consumer.push(output)

    def result(self, recording: Recording) -> Transcript | Failure:
        """The result, once the file is written."""
        logits = self._frames.mapped()
        metadata = metadata_of(recording.source, recording.duration, self._run)
        self._write(recording.source, safetensors({"logits": logits}, metadata))
        return self._consumer.result(recording)

    def close(self) -> None:
        """Give resources back."""
        self._frames.close()
        self._consumer.close()

"""From sources to results: the only module that knows all the rooms.

Recordings are cut into chunks, chunks of one or several recordings make a batch, and the output of
each chunk goes to the consumer of its recording. Results come in the order of the sources. A
few recordings are read ahead of their turn, while the network runs, and given back when their result is
out, so what is held at any time is one batch, the recordings with a part in it, those read ahead and, where
results are made in threads of their own, a few that wait for these.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sewcli.acoustic.model import AcousticModel, Attending, Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.activity_options import ActivityOptions
from sewcli.ahead import Ahead
from sewcli.chunking import SAMPLE_RATE, Chunk, ChunkPlan
from sewcli.consumer import Consumer, SkipsSilence
from sewcli.errors import InputError
from sewcli.line import Job, Line, Makers
from sewcli.read_workers import ReadWorkers, check_read_workers, read_workers
from sewcli.recording import Recording
from sewcli.results import Failure
from sewcli.sources import Source

#: seconds; a clip is classified as one piece, whose memory grows with its square
LONGEST_CLIP = 60.0
#: rows of a batch, and inputs under way, at the most: each may hold an open file
_MOST_ROWS = 64
_MOST_PENDING = 256
#: decoding gives up the interpreter's lock at times; a GPU transcribes faster than one thread can decode
_GPU_READERS = 8
#: recordings that wait for the network beside those that are being decoded
_WAITING = 2
#: seconds after which a batch that is not full runs, because no recording has come
_PATIENCE = 0.5

ResultT_co = TypeVar("ResultT_co", covariant=True)


@runtime_checkable
class TakesAttentions(Protocol):
    """A consumer of the attentions that a model may give (`sewcli.acoustic.model.Attending`)."""

    def attend(self, weights: NDArray[np.float32], chunk: Chunk) -> None:
        """Take in those of the next chunk, shape (layers, heads, states, states), before its output."""


@dataclass(frozen=True)
class Options:
    """How recordings are read, cut and batched.

    Attributes:
        plan: chunk and stride.
        batch_seconds: padded audio in one batch; 0 runs every chunk alone.
        file_statistics: normalise by the statistics of the whole file, not of each chunk.
        audio_engine: of the decoding.
        longest: seconds a recording may last, or None.
        readers: threads that decode the next recordings while the network runs; None for one beside a CPU,
            several beside a GPU, and no less than there are processes.
        activity: leave long silences out (the consumer must be a `SkipsSilence`); None runs all.
        read_workers: processes that decode for these threads, see `sewcli.read_workers`; None for what suits
            the device, 0 for none.

    Raises:
        UsageError: there can be no such processes here.
    """

    plan: ChunkPlan
    batch_seconds: float = 0.0
    file_statistics: bool = True
    audio_engine: str = "soundfile"
    longest: float | None = None
    readers: int | None = None
    activity: ActivityOptions | None = None
    read_workers: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        check_read_workers(self.read_workers)

    @classmethod
    def for_clips(cls, batch_seconds: float, audio_engine: str, read_workers: int | None = None) -> Options:
        """Options for classification: every recording is one piece, and a long one is refused."""
        plan = ChunkPlan.from_seconds(LONGEST_CLIP + 1.0, 0.0)
        return cls(
            plan,
            batch_seconds,
            audio_engine=audio_engine,
            longest=LONGEST_CLIP,
            read_workers=read_workers,
        )


def run(
    sources: Iterable[Source],
    model: AcousticModel,
    consumer: Callable[[], Consumer[ResultT_co]],
    options: Options,
    *,
    stdin: BinaryIO | None = None,
    makers: Makers | None = None,
) -> Iterator[ResultT_co | Failure]:
    """Yield one result or failure a source, in order.

    Args:
        sources: what to read; they are pulled and opened in threads, a few before their turn.
        model: the network.
        consumer: makes the consumer of one recording.
        options: see `Options`.
        stdin: where the source "-" is read from.
        makers: of the results; None makes them here, between the batches.

    Raises:
        DeviceError: the memory of the device is not enough for one chunk.
    """
    pending: Line[ResultT_co] = Line(makers)
    batch: list[tuple[Job[ResultT_co], Chunk, Segment]] = []
    workers = read_workers(options.read_workers, model.device)
    readers = options.readers or max(
        1 if model.device == "cpu" else _GPU_READERS, workers.count if workers else 0
    )
    stopped = threading.Event()
    ahead = Ahead(
        sources,
        lambda source: _open(source, consumer, options, stdin, stopped.is_set, workers),
        lambda opened: opened.close() if isinstance(opened, Job) else None,
        workers=readers,
        depth=readers + _WAITING,
    )
    try:
        for opened in ahead.results(_PATIENCE):
            if opened is None:
                # the next recording takes its time: what is there need not wait for a full batch
                _run_batch(model, batch)
                yield from pending.finished()
                continue
            pending.append(opened)
            if isinstance(opened, Job):
                for chunk in options.plan.chunks_of(opened.recording.pieces):
                    if batch and _padded_seconds(batch, chunk) > options.batch_seconds:
                        _run_batch(model, batch)
                        yield from pending.finished()
                    batch.append((opened, chunk, _segment(opened.recording, chunk, options)))
                    if _padded_seconds(batch) >= options.batch_seconds or len(batch) >= _MOST_ROWS:
                        _run_batch(model, batch)
            if len(pending) >= _MOST_PENDING:
                _run_batch(model, batch)
            yield from pending.finished()
        _run_batch(model, batch)
        yield from pending.finished(every=True)
    finally:
        stopped.set()
        if workers is not None:
            workers.close()
        ahead.stop()
        pending.close()


def _open(
    source: Source,
    consumer: Callable[[], Consumer[ResultT_co]],
    options: Options,
    stdin: BinaryIO | None,
    cancelled: Callable[[], bool],
    workers: ReadWorkers | None,
) -> Job[ResultT_co] | Failure:
    try:
        recording = Recording(
            source,
            engine=options.audio_engine,
            longest=options.longest,
            stdin=stdin,
            cancelled=cancelled,
            activity=options.activity,
            workers=workers,
        )
    except InputError as error:
        return Failure(source.path, error.code, str(error), source.channel)
    waiting = sum(1 for _ in options.plan.chunks_of(recording.pieces))
    return Job(recording, consumer(), waiting)


def _segment(recording: Recording, chunk: Chunk, options: Options) -> Segment:
    samples = recording.read(chunk.start, chunk.stop)
    statistics = recording.statistics if options.file_statistics else wave_statistics(samples)
    return Segment(samples, statistics)


def _padded_seconds(batch: list[tuple[Job[ResultT_co], Chunk, Segment]], chunk: Chunk | None = None) -> float:
    """Audio of a batch, every row as long as the longest, with one more chunk if given."""
    chunks = [entry[1] for entry in batch] + ([chunk] if chunk else [])
    return len(chunks) * max(piece.samples for piece in chunks) / SAMPLE_RATE


def _run_batch(model: AcousticModel, batch: list[tuple[Job[ResultT_co], Chunk, Segment]]) -> None:
    """Run a batch, hand its outputs to the consumers, and empty it."""
    if not batch:
        return
    outputs = model([segment for _, _, segment in batch])
    if isinstance(model, Attending) and (weights := model.take_attentions()):
        for (job, chunk, _), attentions in zip(batch, weights, strict=True):
            if isinstance(job.consumer, TakesAttentions):
                job.consumer.attend(attentions, chunk)
    for (job, chunk, _), output in zip(batch, outputs, strict=True):
        if chunk.skipped and isinstance(job.consumer, SkipsSilence):
            job.consumer.skip(chunk.skipped)
        job.consumer.push(output[chunk.keep_from : chunk.keep_to] if output.ndim > 1 else output)
        job.waiting -= 1
    batch.clear()

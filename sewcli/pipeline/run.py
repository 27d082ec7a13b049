"""From sources to results: recordings, chunks, batches, and what becomes of their outputs.

Recordings are cut into chunks, chunks of one or several recordings make a batch, and the output of
each chunk goes to the consumer of its recording. Results come in the order of the sources. A
few recordings are read ahead of their turn, while the network runs, and given back when their result is
out, so what is held at any time is one batch (four beside a GPU, three for each lane of a CPU), the
recordings with a part in it, those read ahead and, where results are made in threads of their own, a few that
wait for these.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from sewcli.acoustic.model import AcousticModel, Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.audio import shown
from sewcli.chunking import Chunk, ChunkPlan
from sewcli.errors import DeviceError, InputError, ModelError
from sewcli.inputs.source import Source
from sewcli.pipeline.ahead import Ahead
from sewcli.pipeline.batching import MOST_ROWS, Batcher
from sewcli.pipeline.consumer import Consumer
from sewcli.pipeline.line import Job, Line, Makers
from sewcli.reading.activity_options import ActivityOptions
from sewcli.reading.read_workers import ReadWorkers, check_read_workers, read_workers
from sewcli.reading.recording import Recording
from sewcli.results import Failure

#: seconds; a clip is classified as one piece, whose memory grows with its square
LONGEST_CLIP = 60.0
#: inputs under way, at the most: each may hold an open file
_MOST_PENDING = 448
#: decoding gives up the interpreter's lock at times; a GPU transcribes faster than one thread can decode
_GPU_READERS = 8
#: recordings that wait for the network beside those that are being decoded
_WAITING = 2
#: beside a GPU: the rows of a batch, so that none is short of readers while the one before is computed
_GPU_WAITING = MOST_ROWS
#: as long as these last no longer than a batch, or so many seconds: more would fill memory and the temporary
#: directory
_LEAST_WAITING = 120.0
#: seconds after which a batch that is not full runs, because no recording has come
_PATIENCE = 0.5

ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True)
class Options:
    """How recordings are read, cut and batched.

    Attributes:
        plan: chunk and stride.
        batch_seconds: padded audio in one batch; 0 runs every chunk alone.
        file_statistics: normalise by the statistics of the whole file, not of each chunk.
        audio_engine: of the decoding.
        longest: seconds a recording may last, or None.
        activity: leave long silences out (the consumer must have `skip`); None runs all.
        read_workers: processes that decode for the threads that read ahead, see `reading.read_workers`; None
            for what suits the device, 0 for none.

    Raises:
        UsageError: there can be no such processes here.
    """

    plan: ChunkPlan
    batch_seconds: float = 0.0
    file_statistics: bool = True
    audio_engine: str = "soundfile"
    longest: float | None = None
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
    makers: Makers | None = None,
) -> Iterator[ResultT_co | Failure]:
    """Yield one result or failure a source, in order.

    Args:
        sources: what to read; they are pulled and opened in threads, a few before their turn.
        model: the network.
        consumer: makes the consumer of one recording.
        options: see `Options`.
        makers: of the results; None makes them here, between the batches.

    Raises:
        DeviceError: the memory of the device is not enough for one chunk.
    """
    pending: Line[ResultT_co] = Line(makers)
    on_cpu = model.device == "cpu"
    batcher: Batcher[ResultT_co] = Batcher(model, options.batch_seconds, alike=not on_cpu)
    workers = read_workers(options.read_workers, model.device)
    # one thread for each process, which is what it waits for
    readers = max(1 if on_cpu else _GPU_READERS, workers.count if workers else 0)
    stopped = threading.Event()
    ahead = Ahead(
        sources,
        lambda source: _open(source, consumer, options, stopped.is_set, workers),
        lambda opened: opened.close() if isinstance(opened, Job) else None,
        workers=readers,
        depth=readers + (_WAITING if on_cpu else _GPU_WAITING),
        weigh=lambda opened: opened.recording.duration if isinstance(opened, Job) else 0.0,
        most=math.inf if on_cpu else max(_LEAST_WAITING, options.batch_seconds),
    )
    try:
        results = ahead.results(_PATIENCE)
        while True:
            try:
                opened = next(results)
            except StopIteration:
                break
            except Exception:
                batcher.flush()  # of a list that breaks off; the inputs before are no less good
                yield from pending.finished(every=True)
                raise
            if opened is None:
                # the next recording takes its time: what is there need not wait for a full batch
                batcher.flush()
                yield from pending.finished()
                continue
            pending.append(opened)
            if isinstance(opened, Job):
                for chunk, segment in _segments(opened, options):
                    batcher.add(opened, chunk, segment)
                    yield from pending.finished()
            if len(pending) >= _MOST_PENDING:
                batcher.flush()
            yield from pending.finished()
        batcher.flush()
        yield from pending.finished(every=True)
    except (DeviceError, ModelError, RuntimeError):
        # of the network: the batches before the one that does not fit, or gives no numbers, are no less good
        batcher.drain()
        yield from pending.finished(every=True)
        raise
    finally:
        stopped.set()
        batcher.close()
        if workers is not None:
            workers.close()
        ahead.stop()
        pending.close()


def _open(
    source: Source,
    consumer: Callable[[], Consumer[ResultT_co]],
    options: Options,
    cancelled: Callable[[], bool],
    workers: ReadWorkers | None,
) -> Job[ResultT_co] | Failure:
    try:
        recording = Recording(
            source,
            engine=options.audio_engine,
            longest=options.longest,
            cancelled=cancelled,
            activity=options.activity,
            workers=workers,
        )
    except InputError as error:
        return source.failure(error.code, str(error))
    chunks = sum(1 for _ in options.plan.chunks_of(recording.pieces))
    try:
        return Job(recording, consumer(), chunks)
    except InputError as error:  # there is no room for its frames
        recording.close()
        return source.failure(error.code, f"{shown(source)}: {error}")


def _segments(job: Job[ResultT_co], options: Options) -> Iterator[tuple[Chunk, Segment]]:
    """The chunks of a recording and their samples, as long as it has not failed."""
    recording = job.recording
    for chunk in options.plan.chunks_of(recording.pieces):
        if job.failure is not None:
            return
        try:
            samples = recording.read(chunk.start, chunk.stop)
        except InputError as error:
            job.fail(error)
            return
        statistics = recording.statistics if options.file_statistics else wave_statistics(samples)
        yield chunk, Segment(samples, statistics)

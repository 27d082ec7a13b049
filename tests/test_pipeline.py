"""The way from sources to results: order, batches, chunks, memory."""

import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import Logits, until_error

from sewcli.acoustic.load import load_model
from sewcli.acoustic.model import Segment
from sewcli.chunking import ChunkPlan, kept_frame_count
from sewcli.consumers.transcriber import Transcriber
from sewcli.decoding.greedy import GreedyDecoder
from sewcli.decoding.vocabulary import load_vocabulary
from sewcli.errors import UsageError
from sewcli.hub.fetching import fetch
from sewcli.inputs.source import Source
from sewcli.pipeline import line
from sewcli.pipeline.line import Makers
from sewcli.pipeline.run import Options, run
from sewcli.reading.recording import Recording
from sewcli.registry import resolve
from sewcli.results import Failure, ModelInfo, Transcript

EXAMPLES = Path(__file__).parent.parent / "examples"
CLIPS = sorted((EXAMPLES / "speech").iterdir())


@pytest.fixture(scope="module")
def nano():
    return load_model(fetch(resolve("nano")), "ctc")


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """All example clips one after the other, 25 s, as 16-bit PCM."""
    clips = [Recording(Source(str(clip), clip)) for clip in CLIPS]
    samples = np.concatenate([clip.read(0, clip.samples) for clip in clips])
    file = tmp_path_factory.mktemp("long") / "long.wav"
    soundfile.write(file, samples, 16_000)
    return Source(str(file), file)


def logits_of(model, sources, **options):
    plan = options.pop("plan", ChunkPlan.from_seconds(20, 1))
    return dict(run(sources, model, Logits, Options(plan, **options)))


def test_batches_do_not_change_the_logits(nano, long_file):
    """1e-5 of their range, whatever the size of a batch and the neighbours in it."""
    sources = [*(Source(str(clip), clip) for clip in CLIPS), long_file]
    alone = logits_of(nano, sources, batch_seconds=0)
    for seconds in (4, 15, 500):
        batched = logits_of(nano, sources, batch_seconds=seconds)
        assert list(batched) == list(alone)
        for path, logits in alone.items():
            scale = np.abs(logits).max()
            np.testing.assert_allclose(batched[path] / scale, logits / scale, atol=1e-5)


@pytest.mark.parametrize(("chunk", "stride"), [(20, 1), (4, 0.52), (2.04, 0.8), (1, 0)])
def test_chunks_give_every_frame_once(small, long_file, chunk, stride):
    logits = logits_of(small, [long_file], plan=ChunkPlan.from_seconds(chunk, stride))[long_file.path]
    assert logits.shape == (kept_frame_count(soundfile.info(long_file.path).frames), small.columns)


def test_chunks_with_file_statistics_come_close_to_the_whole(nano, long_file):
    """Only attention beyond the chunk is missing; a shifted frame or a lost one would not agree."""
    whole = logits_of(nano, [long_file], plan=ChunkPlan.from_seconds(60, 0))[long_file.path]
    chunked = logits_of(nano, [long_file], plan=ChunkPlan.from_seconds(8, 2))[long_file.path]
    assert np.mean(whole.argmax(1) == chunked.argmax(1)) > 0.9


def test_one_chunk_is_the_model_itself(nano):
    clip = CLIPS[0]
    recording = Recording(Source(str(clip), clip))
    expected = nano([Segment(recording.read(0, recording.samples), recording.statistics)])[0]
    got = logits_of(nano, [Source(str(clip), clip)])[str(clip)]
    np.testing.assert_array_equal(got, expected)


def test_results_come_in_the_order_of_the_inputs_with_failures_in_place(small, tmp_path, long_file):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    sources = [
        Source(str(CLIPS[0]), CLIPS[0]),
        Source(str(bad), bad),
        long_file,
        Source("missing.wav", Path("missing.wav")),
        Source(str(CLIPS[1]), CLIPS[1]),
    ]
    vocabulary = load_vocabulary(small.checkpoint.directory, small.columns)

    def consumer():
        return Transcriber(GreedyDecoder(vocabulary), ModelInfo("nano"), {}, "word")

    results = list(run(sources, small, consumer, Options(ChunkPlan.from_seconds(20, 1), batch_seconds=100)))
    assert [result.path for result in results] == [source.path for source in sources]
    kinds = [Transcript, Failure, Transcript, Failure, Transcript]
    assert [type(result) for result in results] == kinds


def test_a_result_does_not_wait_for_a_source_that_takes_its_time(small):
    out = threading.Event()

    def sources():
        yield Source(str(CLIPS[0]), CLIPS[0])
        assert out.wait(30)

    results = run(sources(), small, Logits, Options(ChunkPlan.from_seconds(20, 1)))
    assert next(results)[0] == str(CLIPS[0])
    out.set()
    assert list(results) == []


def test_the_results_of_sources_before_an_error_are_out_first(small):
    def sources():
        for clip in CLIPS[:3]:
            yield Source(str(clip), clip)
        raise UsageError("the list breaks off")

    found, error = until_error(run(sources(), small, Logits, Options(ChunkPlan.from_seconds(20, 1))))
    assert isinstance(error, UsageError)
    assert found == [str(clip) for clip in CLIPS[:3]]


MEASURE = """
import json, resource, sys
from pathlib import Path
from sewcli.acoustic.load import load_model
from sewcli.chunking import ChunkPlan
from sewcli.decoding.greedy import GreedyDecoder
from sewcli.decoding.vocabulary import load_vocabulary
from sewcli.hub.fetching import fetch
from sewcli.pipeline import line
from sewcli.pipeline.line import Makers
from sewcli.pipeline.run import Options, run
from sewcli.consumers.transcriber import Transcriber
from sewcli.registry import resolve
from sewcli.results import ModelInfo
from sewcli.inputs.source import Source

model = load_model(fetch(resolve(sys.argv[1])), "ctc", threads=1)
vocabulary = load_vocabulary(model.checkpoint.directory, model.columns)
peaks = []
for name in sys.argv[2:]:
    consumer = lambda: Transcriber(GreedyDecoder(vocabulary), ModelInfo("tiny"), {}, "word")
    results = run([Source(name, Path(name))], model, consumer, Options(ChunkPlan.from_seconds(20, 1)))
    print([result.duration for result in results], file=sys.stderr)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(json.dumps(peaks))
"""


class Slow(Logits):
    """Consumer whose result waits."""

    pending = 0
    most = 0

    def result(self, recording):
        time.sleep(0.5)
        return recording.source.path

    def push(self, output):
        Slow.pending += 1
        Slow.most = max(Slow.most, Slow.pending)

    def close(self):
        Slow.pending -= 1


def test_results_made_in_threads_come_in_order_and_a_few_wait(small, monkeypatch):
    monkeypatch.setattr(line, "_WAITING_SECONDS", 5.0)
    monkeypatch.setattr(Slow, "pending", 0)
    monkeypatch.setattr(Slow, "most", 0)
    clip = CLIPS[0]
    sources = (Source(str(number), clip) for number in itertools.count())
    ended = threading.Event()
    results = run(sources, small, Slow, Options(ChunkPlan.from_seconds(20, 1)), makers=Makers(2, ended.set))
    assert list(itertools.islice(results, 12)) == [str(number) for number in range(12)]
    results.close()
    assert ended.is_set()
    # two are being made, two wait, and one has just come out of the network, or all that were under way
    assert 3 <= Slow.most <= 4 + (1 if small.lanes == 1 else 3 * small.lanes)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sew-maker")]


def test_an_ended_run_interrupts_what_its_threads_wait_for(small):
    class Endless(Logits):
        def result(self, recording):
            assert may_end.wait(60)

    may_end = threading.Event()
    sources = [Source("good.wav", CLIPS[0]), Source("gone.wav", Path("gone.wav"))]

    def until_interrupted():
        yield sources[1]
        yield sources[0]
        raise KeyboardInterrupt

    results = run(
        until_interrupted(),
        small,
        Endless,
        Options(ChunkPlan.from_seconds(20, 1)),
        makers=Makers(1, may_end.set),
    )
    assert isinstance(next(results), Failure)
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert may_end.is_set()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path):
    from helpers import tiny_model

    directory = tiny_model(tmp_path / "model", "sew", "ctc")
    files = []
    for minutes in (1, 20):  # 20 min of samples are 77 MB, their logits 8 MB
        file = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(file, "w", 16_000, 1) as out:
            for minute in range(minutes):
                out.write(0.1 * np.random.default_rng(minute).standard_normal(960_000))
        files.append(str(file))
    command = [sys.executable, "-c", MEASURE, str(directory), *files]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    short, long = json.loads(done.stdout)
    assert long - short < 40

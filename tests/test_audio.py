"""Reading audio: the samples of librosa.load, in blocks, and one clear error for everything else."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from audio_files import failure, posix, read, signal, written
from hypothesis import given, settings
from hypothesis import strategies as st

from sewcli.audio import SAMPLE_RATE, read_blocks
from sewcli.audio.dsp import cut, resample
from sewcli.errors import AudioError
from sewcli.inputs.source import Source

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000]
FORMATS = [
    ("a.wav", "PCM_16", RATES, [1, 8]),
    ("a.wav", "PCM_24", [16_000, 44_100], [1, 8]),
    ("a.wav", "FLOAT", [16_000, 48_000], [1, 8]),
    ("a.flac", "PCM_16", [11_025, 16_000, 48_000, 192_000], [2, 8]),
    ("a.ogg", "VORBIS", [8_000, 16_000, 44_100], [1, 2]),
    ("a.ogg", "VORBIS", [22_050], [8]),
    ("a.opus", "OPUS", [8_000, 16_000, 48_000], [2]),
    ("a.opus", "OPUS", [24_000], [8]),
    ("a.mp3", "MPEG_LAYER_III", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000], [1, 2]),
    ("a.aiff", "PCM_16", [22_050], [2]),
    ("a.au", "PCM_16", [22_050], [2]),
    ("a.caf", "ALAC_16", [22_050], [2]),
    ("a.w64", "PCM_16", [22_050], [2]),
]


@pytest.mark.parametrize(
    ("name", "subtype", "rate", "channels"),
    [(name, subtype, r, c) for name, subtype, rates, channels in FORMATS for r in rates for c in channels],
)
def test_blocks_are_the_samples_of_librosa(
    tmp_path: Path, name: str, subtype: str, rate: int, channels: int
) -> None:
    file = written(tmp_path / name, rate, channels, subtype, seconds=2.2)  # more than one block
    expected, _ = librosa.load(file, sr=SAMPLE_RATE, mono=True)
    found = read(file)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 if name == "a.mp3" else 0)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_the_librosa_engine_is_librosa(tmp_path: Path, name: str) -> None:
    file = written(tmp_path / name, 44_100, 2)
    np.testing.assert_array_equal(read(file, engine="librosa"), librosa.load(file, sr=SAMPLE_RATE)[0])
    with pytest.raises(ValueError, match="audioread"):
        read_blocks(Source("a", file), engine="audioread")


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([1_000, 8_000, 11_025, 22_050, 44_100, 47_999, 768_000]),
    count=st.integers(1, 5_000),
    sizes=st.lists(st.integers(0, 1_500), max_size=8),
)
def test_resampling_does_not_depend_on_the_block_sizes(rate: int, count: int, sizes: list[int]) -> None:
    whole = signal(rate, 1, seconds=count / rate + 1e-4)[:, 0]
    blocks = np.split(whole, np.minimum(np.cumsum([0, *sizes]), len(whole)))
    found = np.concatenate(list(resample(blocks, rate)))
    np.testing.assert_array_equal(found, librosa.resample(whole, orig_sr=rate, target_sr=SAMPLE_RATE))


@given(
    sizes=st.lists(st.integers(0, 20), max_size=9),
    start=st.integers(0, 90),
    count=st.none() | st.integers(0, 90),
)
def test_a_cut_stream_is_a_slice(sizes: list[int], start: int, count: int | None) -> None:
    whole = np.arange(sum(sizes), dtype=np.float32)
    pieces = cut(np.split(whole, np.cumsum(sizes)[:-1]) if sizes else [], start, count)
    stop = None if count is None else start + count
    np.testing.assert_array_equal(np.concatenate([[], *pieces]), whole[start:stop])


@pytest.mark.parametrize("engine", ["soundfile", "librosa"])
@pytest.mark.parametrize(("offset", "duration"), [(0.4, None), (0.0, 0.7), (0.33333, 0.51), (1.0, 99.0)])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3"])
def test_a_part_of_a_file_is_the_part_that_librosa_reads(
    tmp_path: Path, name: str, offset: float, duration: float | None, engine: str
) -> None:
    subtype = "OPUS" if name == "a.opus" else None
    file = written(tmp_path / name, 48_000, 2, subtype)
    expected, _ = librosa.load(file, sr=SAMPLE_RATE, offset=offset, duration=duration)
    found = np.concatenate(list(read_blocks(Source("x", file, offset, duration), engine=engine)))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_a_part_can_be_read_where_the_encoding_cannot_seek(tmp_path: Path) -> None:
    file = written(tmp_path / "a.wav", 8_000, 1, "GSM610")
    whole = np.concatenate(list(soundfile.blocks(file, 4_000, dtype="float32")))
    expected = librosa.resample(whole[4_000:8_000], orig_sr=8_000, target_sr=SAMPLE_RATE)
    np.testing.assert_array_equal(np.concatenate(list(read_blocks(Source("x", file, 0.5, 0.5)))), expected)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    file = tmp_path / "silence.flac"
    with soundfile.SoundFile(file, "w", 192_000, 8, "PCM_16") as sink:
        for _ in range(30):
            sink.write(np.zeros((192_000, 8), np.int16))
    assert file.stat().st_size < 500_000  # and 184 MB as float32
    tracemalloc.start()
    try:
        samples = sum(len(block) for block in read_blocks(Source("x", file)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert samples == 30 * SAMPLE_RATE
    assert peak < 40e6


class TestStandardInputAndPipes:
    @pytest.mark.parametrize(("piece", "what"), [(b"y\n", "text"), (b"\0\0", "zeros")])
    def test_a_stream_without_an_end_that_is_no_audio_is_refused_at_once(
        self, piece: bytes, what: str
    ) -> None:
        class Endless(io.RawIOBase):
            taken = 0

            def read(self, size: int = -1) -> bytes:
                assert size > 0
                self.taken += size
                return piece * (size // 2)

        stream = Endless()
        with pytest.raises(AudioError, match=f"not audio: its first 1 MiB are {what}") as caught:
            list(read_blocks(Source("-", Path("-")), stdin=stream))  # type: ignore[arg-type]
        assert caught.value.code == "not_audio"
        assert stream.taken == 1 << 20

    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
    def test_standard_input_reads_like_a_file_and_leaves_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        file = written(tmp_path / name, 44_100, 2)
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
        blocks = read_blocks(Source("-", Path("-")), stdin=io.BytesIO(file.read_bytes()))
        first = next(blocks)
        assert len(list((tmp_path / "tmp").iterdir())) == 1
        np.testing.assert_array_equal(np.concatenate([first, *blocks]), read(file))
        assert not list((tmp_path / "tmp").iterdir())

    def test_the_copy_is_deleted_when_the_reader_gives_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = written(tmp_path / "a.wav", seconds=9).read_bytes()
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
        blocks = read_blocks(Source("-", Path("-")), stdin=io.BytesIO(data))
        next(blocks)
        blocks.close()  # type: ignore[attr-defined]
        assert not list((tmp_path / "tmp").iterdir())

    def test_errors_name_standard_input(self) -> None:
        assert failure(Source("-", Path("-")), stdin=io.BytesIO()).code == "empty_file"
        error = failure(Source("-", Path("-")), stdin=io.BytesIO(b"just text " * 99))
        assert error.code == "not_audio"
        assert error.message.startswith("standard input: ")

    @posix
    def test_a_named_pipe_is_read_once(self, tmp_path: Path) -> None:
        data = written(tmp_path / "a.flac", 44_100).read_bytes()
        os.mkfifo(tmp_path / "pipe")
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
        writer.start()
        np.testing.assert_array_equal(read(tmp_path / "pipe"), read(tmp_path / "a.flac"))

    @posix
    def test_a_name_that_is_not_utf8_is_a_name(self, tmp_path: Path) -> None:
        file = tmp_path / os.fsdecode(b"caf\xe9.wav")
        written(tmp_path / "a.wav").rename(file)
        assert len(read(file)) == len(read(file, engine="librosa")) == 20_800

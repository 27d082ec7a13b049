"""Files that do not say how long they are: from pipes, stopped recorders, with variable bitrate."""

from __future__ import annotations

import struct
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from audio_files import failure, read, signal, written

from sewcli.audio import SAMPLE_RATE, read_blocks
from sewcli.inputs.source import Source


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_wav_from_a_pipe(tmp_path: Path, size: int) -> None:
    file = written(tmp_path / "a.wav")
    expected, data = read(file), bytearray(file.read_bytes())
    data[40:44] = struct.pack("<I", size)
    data[4:8] = struct.pack("<I", min(size + 36, 0xFFFFFFFF))
    file.write_bytes(data)
    np.testing.assert_array_equal(read(file), expected)


@pytest.mark.parametrize("riff_size", [0, 8, 36, 5_000])
def test_wav_of_a_recorder_that_was_stopped(tmp_path: Path, riff_size: int) -> None:
    file = written(tmp_path / "a.wav", 44_100, 2)
    expected, data = read(file), bytearray(file.read_bytes())
    data[4:8], data[40:44] = struct.pack("<I", riff_size), bytes(4)
    file.write_bytes(data)
    np.testing.assert_array_equal(read(file), expected)
    np.testing.assert_array_equal(read(file, engine="librosa"), expected)


def test_wav_without_samples_but_with_other_chunks_stays_empty(tmp_path: Path) -> None:
    file = written(tmp_path / "a.wav", seconds=0)
    file.write_bytes(file.read_bytes() + b"LIST" + struct.pack("<I", 4000) + bytes(4000))
    assert failure(file).code == "no_samples"


def test_wav_whose_writer_counts_the_header_as_audio(tmp_path: Path) -> None:
    file = written(tmp_path / "a.wav")
    expected, data = read(file), bytearray(file.read_bytes())
    data[40:44] = struct.pack("<I", len(data))
    file.write_bytes(data)
    np.testing.assert_array_equal(read(file), expected)


@pytest.mark.parametrize("offset", [0.0, 1.5])
@pytest.mark.parametrize("engine", ["soundfile", "librosa"])
def test_flac_from_a_pipe(tmp_path: Path, engine: str, offset: float) -> None:
    file = written(tmp_path / "a.flac", 44_100, 2, seconds=3)
    source = Source("x", file, offset)
    expected = np.concatenate(list(read_blocks(source)))
    data = bytearray(file.read_bytes())
    data[21] &= 0xF0  # the last 36 bits before the MD5 of STREAMINFO: the number of samples
    data[22:26] = bytes(4)
    file.write_bytes(data)
    np.testing.assert_array_equal(np.concatenate(list(read_blocks(source, engine=engine))), expected)


def variable_bitrate(file: Path, rate: int, channels: int) -> bytes:
    """An MP3 file that begins loud, so that its first frame is larger than most."""
    samples = signal(rate, channels, 6)
    samples[rate // 2 :] *= 0.01
    soundfile.write(file, samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.2)
    return file.read_bytes()


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (22_050, 2), (44_100, 1), (48_000, 2)])
def test_all_of_an_mp3_with_variable_bitrate_is_read(tmp_path: Path, rate: int, channels: int) -> None:
    file = tmp_path / "a.mp3"
    data = variable_bitrate(file, rate, channels)
    expected = read(file)
    # Without the frame that holds the Xing header, and so without the gapless start.
    second = data.index(data[:2], 100)
    file.write_bytes(data[second:])
    lost = len(librosa.load(file, sr=SAMPLE_RATE)[0])
    found = read(file)
    assert lost < len(expected) - 1_000  # librosa loses the end
    assert abs(len(found) - len(expected)) < 0.2 * SAMPLE_RATE
    # One piece, without a gap or a repeat where librosa stops; only the decoder's delay is other.
    middle, around = expected[16_000:88_000], found[15_000:91_000]
    shift = int(np.argmax(np.correlate(around, middle)))
    again = around[shift : shift + len(middle)]
    assert np.corrcoef(again, middle)[0, 1] > 0.95
    if rate == SAMPLE_RATE:  # no resampling, and so a shift by whole samples
        np.testing.assert_allclose(again, middle, rtol=0, atol=1e-6)

"""Formats that libsndfile lacks, through PyAV and through ffmpeg."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import Sew
from helpers import RATE, Samples, babble, write_babble

from sewcli.audio import read_blocks
from sewcli.audio.ffmpeg import reading as through_ffmpeg
from sewcli.audio.media import reading as through_pyav
from sewcli.errors import AudioError
from sewcli.inputs.source import Source

av = pytest.importorskip("av")
pytest.importorskip("av.subtitles.stream")  # PyAV imports it late, when a test may have hidden the package
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
CODECS = {
    "m4a": "aac",
    "aac": "aac",
    "mp4": "aac",
    "mov": "aac",
    "mkv": "flac",
    "webm": "libopus",
    "wma": "wmav2",
}
SECONDS = 4.0


@pytest.fixture(params=["pyav", pytest.param("ffmpeg", marks=needs_ffmpeg)])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Only one of the two is there."""
    name: str = request.param
    if name == "pyav":
        monkeypatch.setenv("PATH", "")
    else:
        monkeypatch.setitem(sys.modules, "av", None)
    return name


@pytest.fixture
def neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without both."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "av", None)


def encode(
    file: Path, samples: Samples, rate: int, *, picture: float = 0.0, faststart: bool = False, title: str = ""
) -> Path:
    """Write samples of shape (frames, channels), and a picture for so many seconds, with PyAV."""
    channels = samples.shape[1]
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(file), "w", options=options) as container:
        container.metadata["title"] = title
        layout = {1: "mono", 2: "stereo"}[channels]
        if picture:
            video = container.add_stream("mpeg4", rate=10)
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
        stream = container.add_stream(CODECS[file.suffix[1:]], rate=rate, layout=layout)
        stream.bit_rate = 96_000 * channels
        stream.codec_context.open()
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate, stream.frame_size or 1024)
        whole = np.ascontiguousarray(samples.reshape(1, -1), np.float32)
        frame = av.AudioFrame.from_ndarray(whole, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
        for number in range(int(10 * picture)):
            shot = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number, np.uint8), format="rgb24")
            container.mux(video.encode(shot))
        if picture:
            container.mux(video.encode(None))
    return file


def sound(seconds: float = SECONDS, rate: int = 48_000, channels: int = 1) -> Samples:
    """Low babble, which survives the codecs."""
    mono = np.repeat(babble(seconds, seed=8, rate=rate // 6), 6)[: int(seconds * rate)]
    smooth = np.convolve(mono, np.ones(24) / 24, "same")
    return np.stack([smooth * (1 - 0.5 * number) for number in range(channels)], axis=1).astype(np.float32)


def read(
    file: Path, offset: float = 0.0, duration: float | None = None, channel: int | None = None
) -> Samples:
    return np.concatenate(list(read_blocks(Source(str(file), file, offset, duration, channel=channel))))


def failure(file: Path) -> AudioError:
    with pytest.raises(AudioError) as caught:
        list(read_blocks(Source(str(file), file)))
    assert caught.value.hint
    return caught.value


def test_a_title_that_is_not_utf_8_is_passed_over(tmp_path: Path, decoder: str) -> None:
    file = encode(tmp_path / "a.mkv", sound(), 48_000, title="Gruesse aus Zuerich")
    expected = read(file)
    content = file.read_bytes()
    file.write_bytes(content.replace(b"Gruesse", "Grüße  ".encode("latin-1")))
    assert file.read_bytes() != content
    np.testing.assert_array_equal(read(file), expected)


@pytest.mark.parametrize("extension", sorted(CODECS))
def test_what_was_said_comes_out_with_its_length(tmp_path: Path, decoder: str, extension: str) -> None:
    original = sound()
    found = read(encode(tmp_path / f"a.{extension}", original, 48_000))
    expected = original[::3, 0]
    assert abs(len(found) - len(expected)) < 0.1 * RATE  # codecs fill their last frame
    middle = expected[RATE : 3 * RATE]
    around = found[RATE - 3200 : 3 * RATE + 3200]
    shift = int(np.argmax(np.correlate(around, middle)))
    assert abs(shift - 3200) < 0.1 * RATE
    assert np.corrcoef(around[shift : shift + len(middle)], middle)[0, 1] > 0.95


@needs_ffmpeg
@pytest.mark.parametrize("extension", sorted(CODECS))
def test_both_decode_the_same_frames(tmp_path: Path, extension: str) -> None:
    file = encode(tmp_path / f"a.{extension}", sound(channels=2), 48_000)
    program = shutil.which("ffmpeg")
    assert program is not None
    with through_pyav("a", file, 0.5, 2.0) as one, through_ffmpeg("a", file, 0.5, 2.0, program) as other:
        assert (one.rate, one.channels) == (other.rate, other.channels) == (48_000, 2)
        first, second = np.concatenate(list(one.blocks)), np.concatenate(list(other.blocks))
    assert len(first) == 96_000
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-5)


def test_parts_and_channels(tmp_path: Path, decoder: str) -> None:
    file = encode(tmp_path / "a.m4a", sound(channels=2), 48_000)
    left, right = read(file, channel=0), read(file, channel=1)
    np.testing.assert_allclose(read(file), (left + right) / 2, rtol=0, atol=2e-5)
    assert np.abs(left).max() > 1.5 * np.abs(right).max()
    part = read(file, 1.5, 2.0)
    assert len(part) == 2 * RATE
    # away from the edges, where the resampler has seen other neighbours
    np.testing.assert_allclose(part[400:-400], read(file)[24_400 : 56_000 - 400], rtol=0, atol=1e-3)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_the_sound_of_a_video_may_end_before_the_picture(
    tmp_path: Path, decoder: str, extension: str
) -> None:
    file = encode(tmp_path / f"a.{extension}", sound(), 48_000, picture=SECONDS + 3)
    assert abs(len(read(file)) - SECONDS * RATE) < 0.1 * RATE


@pytest.mark.parametrize("name", ["a.m4a", "fast.m4a", "a.aac", "a.webm", "a.mkv", "a.wma"])
def test_a_cut_file_fails(tmp_path: Path, decoder: str, name: str) -> None:
    file = encode(tmp_path / name, sound(), 48_000, faststart=name.startswith("fast"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    error = failure(file)
    assert error.code == "damaged"
    assert "0x" not in error.message


def test_what_holds_no_sound_is_not_audio(tmp_path: Path, decoder: str) -> None:
    file = tmp_path / "a.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    error = failure(file)
    assert error.code == "not_audio"
    assert "no audio stream" in error.message
    (tmp_path / "a.m4a").write_text("text " * 99)
    assert failure(tmp_path / "a.m4a").code == "not_audio"


@pytest.mark.parametrize("name", ["-dash.m4a", "a:b 100%d.m4a", "http:x.m4a", os.fsdecode(b"\xff.m4a")])
def test_names_that_look_like_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str, name: str
) -> None:
    encode(tmp_path / "plain.m4a", sound(1.0), 48_000).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(read(Path(name))) == len(read(tmp_path / name))


@needs_ffmpeg
def test_a_reader_that_gives_up_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = encode(tmp_path / "a.m4a", sound(120.0), 48_000)
    monkeypatch.setitem(sys.modules, "av", None)
    blocks = read_blocks(Source("x", file))
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    command = ["ps", "--no-headers", "-o", "comm", "--ppid", str(os.getpid())]
    assert "ffmpeg" not in subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_folders_take_what_can_be_decoded_and_say_what_cannot(
    sew: Sew, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "talks"
    write_babble(folder / "a.wav", 1.0)
    encode(folder / "b.m4a", sound(1.0), 48_000)
    listing: Callable[[], list[str]] = lambda: [  # noqa: E731
        line.split("\t")[0].rsplit("/")[-1] for line in sew("transcribe", "-m", ctc, folder).lines
    ]
    assert listing() == ["a.wav", "b.m4a"]
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "av", None)
    result = sew("transcribe", "-m", ctc, folder)
    assert result.code == 0
    assert [line.split("\t")[0] for line in result.lines] == [str(folder / "a.wav")]
    assert "1 files passed over (m4a)" in result.err
    assert "pip install 'sewcli[media]'" in result.err
    (folder / "a.wav").unlink()
    nothing = sew("transcribe", "-m", ctc, folder)
    assert nothing.code == 2
    assert "sewcli[media]" in nothing.messages[0]


@pytest.mark.usefixtures("neither")
def test_without_both_the_error_names_what_to_install(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.m4a"
    file.write_bytes(b"\0\0\0\x1cftypM4A " + bytes(99))
    result = sew("transcribe", "-m", ctc, file, "-f", "json")
    assert result.code == 4
    assert result.records[0]["error"]["code"] == "needs_ffmpeg"
    assert "pip install 'sewcli[media]', or install ffmpeg" in result.messages[0]


def test_dry_run_knows_the_length_of_a_header(sew: Sew, tmp_path: Path, decoder: str) -> None:
    file = encode(tmp_path / "a.m4a", sound(), 48_000)
    line = sew("transcribe", "--dry-run", file).lines[0]
    assert line.split("\t")[1] == ("4.000" if decoder == "pyav" else "?")

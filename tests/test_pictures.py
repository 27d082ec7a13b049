"""`--plot`: what is drawn of a recording, and where the pictures go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Sew
from helpers import babble, write_babble

from sewcli.pictures import overview as module
from sewcli.pictures import trace as traces
from sewcli.pictures.draw import draw, rows_of
from sewcli.pictures.overview import OverviewBuilder
from sewcli.pictures.trace import TraceBuilder
from sewcli.results import Span

PNG = b"\x89PNG\r\n\x1a\n"


def size_of(picture: bytes) -> tuple[int, int]:
    return int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")


@pytest.mark.parametrize("seconds", [0.045, 1.0, 40.0])
def test_overview_is_the_same_for_all_blocks_and_bounded(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COLUMNS", 100)
    samples = babble(seconds)
    made = []
    for size in (samples.size, 777, 16_000):
        builder = OverviewBuilder()
        for start in range(0, samples.size, size):
            builder.push(samples[start : start + size])
        made.append(builder.finish())
    first = made[0]
    assert first.low.size == first.high.size == first.mel.shape[1] <= 201
    assert first.low.size * first.step == pytest.approx(seconds, abs=first.step)
    assert (first.low.min(), first.high.max()) == (samples.min(), samples.max())
    for other in made[1:]:
        assert np.array_equal(first.low, other.low)
        assert np.allclose(first.mel, other.mel, atol=0.01)


def test_mel_spectrogram_is_that_of_librosa() -> None:
    import librosa

    samples = babble(2.0)
    builder = OverviewBuilder()
    builder.push(samples)
    view = builder.finish()
    power = librosa.feature.melspectrogram(
        y=samples, sr=16_000, n_fft=512, hop_length=160, n_mels=64, center=False, window=np.hanning(512)
    )
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    expected = np.maximum(decibels, view.mel.max() - 70)
    assert np.allclose(view.mel[:, : expected.shape[1]], expected, atol=0.05)


def test_trace_keeps_peaks_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_POINTS", 10)
    builder = TraceBuilder()
    values = np.random.default_rng(0).random((333, 2))
    for index, row in enumerate(values):
        builder.push(float(index), row)
    made = builder.finish(("a", "b"), 0.5)
    assert len(made.times) <= 20
    assert np.array_equal(made.values.max(axis=0), values.max(axis=0))
    assert made.times[0] == 0
    assert np.all(np.diff(made.times) == made.times[1])


def test_long_recordings_have_more_rows() -> None:
    assert (rows_of(3), rows_of(10), rows_of(600), rows_of(7200)) == (1, 1, 20, 20)
    sizes = []
    for seconds in (10.0, 50.0):
        builder = OverviewBuilder()
        builder.push(babble(seconds))
        words = [Span("two $ words\ud800", at, at + 0.2, 0.5, fits=False) for at in range(0, int(seconds))]
        sizes.append(size_of(draw(builder.finish(), offset=0, title="a_$_b", words=words)))
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] > 3 * sizes[0][1]


def test_one_input_has_a_file_and_standard_output_stays_as_it_is(
    sew: Sew, ctc: Path, classifier: Path, audio: Path, tmp_path: Path
) -> None:
    clip = audio / "a.wav"
    for command in (
        ("transcribe", clip, "-m", ctc),
        ("align", clip, "-m", ctc, "--text", "at sea", "-f", "ctm"),
        ("classify", clip, "-m", classifier),
        ("classify", clip, "-m", classifier, "--window", "0.5", "--start", "0.5", "--threshold", "0.2"),
    ):
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.png"
        result = sew(*command, "--plot", file)
        assert (result.code, result.out) == (0, sew(*command).out)
        assert file.read_bytes().startswith(PNG)
        again = sew(*command, "--plot", file)
        assert (again.code, again.out) == (2, b"")
        assert "exists" in again.err
        assert sew(*command, "--plot", file, "--overwrite").code == 0


def test_several_inputs_have_a_directory_or_a_pattern(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    given = ("transcribe", audio, "gone.wav", "-m", ctc, "--plot")
    assert sew(*given, tmp_path / "pictures").code == 3
    found = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.png"))
    assert found == ["pictures/a.png", "pictures/b.png", "pictures/sub/c.d.png"]
    assert sew(*given, tmp_path / "other" / "{stem}-{index}.png").code == 3
    assert (tmp_path / "other" / "b-2.png").exists()


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("one.png", "several"),
        ("{stem.png", "--output-template"),
        ("same{format}.png", "written"),
        ("a.gif", "png"),
        ("{stem}.gif", "png"),
    ],
)
def test_where_pictures_cannot_go_is_exit_2(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, where: str, named: str
) -> None:
    write_babble(tmp_path / "x.wav", 1.0)
    result = sew("transcribe", audio, "-m", ctc, "--plot", tmp_path / where)
    assert (result.code, result.out) == (2, b"")
    assert named in result.err
    assert not list(tmp_path.rglob("*.png"))


def test_a_picture_in_the_place_of_a_result_is_exit_2(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    given = ("transcribe", audio, "-m", ctc, "-o", tmp_path, "--output-template", "{stem}.png")
    result = sew(*given, "--plot", tmp_path)
    assert (result.code, result.out) == (2, b"")
    assert "written twice" in result.err
    assert not list(tmp_path.rglob("*.png"))


def test_a_place_for_pictures_that_cannot_be_written_to_is_exit_2(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = sew("transcribe", audio, "-m", ctc, "--plot", tmp_path / "file" / "below")
    assert (result.code, result.out) == (2, b"")
    assert "--plot" in result.err

"""Parts of inputs: folders with globs, windows in time, channels."""

from __future__ import annotations

import io
import json
import os
from contextlib import ExitStack
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import babble

from sewcli.audio import channels_apart, read_blocks
from sewcli.audio.decoding import decoding
from sewcli.cli.input_options import InputOptions
from sewcli.errors import AudioError, UsageError
from sewcli.inputs.parts import Window, parse_time
from sewcli.inputs.selection import Selection
from sewcli.inputs.source import Source
from sewcli.inputs.sources import check, expand

TREE = ["a.wav", "b.FLAC", "calls/a.wav", "calls/old/x.wav", "calls/old/y.mp3", "music/m.ogg", "notes.txt"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], [], ["a.wav", "b.FLAC", "calls/a.wav", "calls/old/x.wav", "calls/old/y.mp3", "music/m.ogg"]),
        (["*.wav"], [], ["a.wav", "calls/a.wav", "calls/old/x.wav"]),
        (["*.wav", "m.*"], ["a.wav"], ["calls/old/x.wav", "music/m.ogg"]),
        (["calls/*"], [], ["calls/a.wav"]),
        (["calls/**"], [], ["calls/a.wav", "calls/old/x.wav", "calls/old/y.mp3"]),
        (["**/old/*.wav"], [], ["calls/old/x.wav"]),
        ([], ["old"], ["a.wav", "b.FLAC", "calls/a.wav", "music/m.ogg"]),
        ([], ["calls/"], ["a.wav", "b.FLAC", "music/m.ogg"]),
        ([], ["calls/**", "*.[fF]*"], ["a.wav", "music/m.ogg"]),
        (["*.txt", "a*"], [], ["a.wav", "calls/a.wav"]),
    ],
)
def test_globs_choose_among_the_audio_files_of_a_folder(
    tree: Path, include: list[str], exclude: list[str], expected: list[str]
) -> None:
    selection = Selection(tuple(include), tuple(exclude))
    found = [os.path.relpath(source.path, tree) for source in expand([str(tree)], selection=selection)]
    assert found == expected


def test_a_file_that_is_named_is_an_input_whatever_the_globs_say(tree: Path) -> None:
    selection = Selection(("*.mp3",), ("a.wav",))
    assert [source.path for source in expand(["a.wav"], selection=selection)] == ["a.wav"]
    with pytest.raises(UsageError, match="--include"):
        check([str(tree / "music")], None, selection)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("1.25", 1.25), ("1:30", 90), ("01:00:02.5", 3602.5), ("100:00", 6000)],
)
def test_times_are_seconds_or_a_clock(text: str, seconds: float) -> None:
    assert parse_time("--start", text) == seconds


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "nan", "inf", "1:2:3:4", "1:-2", "1:", "1s", "1_0", "0:75", "0:60:00", "2:5:99"]
)
def test_what_is_no_time_is_wrong_usage_that_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match="--start"):
        parse_time("--start", text)


def test_window_meets_the_part_of_a_manifest_row() -> None:
    def cut(window: Window, offset: float, duration: float | None) -> tuple[float, float | None, bool]:
        [source] = window.cut([Source("a", Path("a"), offset, duration)])
        return source.offset, source.duration, source.error is not None

    assert cut(Window(0.1, 0.3), 0, None) == (0.1, 0.2, False)
    assert cut(Window(5), 0, None) == (5, None, False)
    assert cut(Window(5, 20), 7, 4) == (7, 4, False)
    assert cut(Window(5, 10), 7, 4) == (7, 3, False)
    assert cut(Window(8), 7, 4) == (8, 3, False)
    assert cut(Window(11), 7, 4)[2]
    with pytest.raises(UsageError, match="--end 1"):
        Window.parse("0:01", "1")


@pytest.mark.parametrize("engine", ["soundfile", "librosa"])
@pytest.mark.parametrize(
    ("name", "subtype", "rate"),
    [
        ("a.wav", None, 16_000),
        ("a.wav", "IMA_ADPCM", 44_100),
        ("a.flac", None, 48_000),
        ("a.ogg", "VORBIS", 44_100),
        ("a.opus", "OPUS", 48_000),
        ("a.mp3", None, 22_050),
    ],
)
def test_a_window_is_the_whole_file_decoded_and_cut_by_sample(
    tmp_path: Path, name: str, subtype: str | None, rate: int, engine: str
) -> None:
    file = tmp_path / name
    sound = np.stack([babble(6.0, seed, rate) for seed in (1, 2)], axis=1)
    soundfile.write(file, sound, rate, format="OGG" if name == "a.opus" else None, subtype=subtype)
    with decoding(name, file, 0.0, None) as native:
        whole = np.concatenate(list(native.blocks))
    for start, end in ((0.0, 2.0), (1.7, 4.9), (3.3333, 9.0)):
        [source] = Window(start, end).cut([Source(name, file)])
        read = np.concatenate(list(read_blocks(source, engine=engine)))
        first = int(start * rate)
        cut = whole[first : first + int(round(end - start, 9) * rate)]
        expected = librosa.resample(cut.mean(axis=1), orig_sr=rate, target_sr=16_000)
        np.testing.assert_allclose(read, expected, atol=2e-6)


@pytest.mark.parametrize("engine", ["soundfile", "librosa"])
def test_channels_are_read_alone(tmp_path: Path, engine: str) -> None:
    file = tmp_path / "three.wav"
    sound = np.stack([babble(1.0, seed, 8_000) for seed in range(3)], axis=1)
    sound[100, 1] = np.nan
    soundfile.write(file, sound, 8_000, subtype="FLOAT")
    sources = list(channels_apart([Source("three.wav", file)], ExitStack()))
    assert [source.channel for source in sources] == [0, 1, 2]
    for source in (sources[0], sources[2]):
        assert source.channel is not None
        read = np.concatenate(list(read_blocks(source, engine=engine)))
        expected = librosa.resample(sound[:, source.channel], orig_sr=8_000, target_sr=16_000)
        np.testing.assert_allclose(read, expected, atol=1e-6)
    with pytest.raises(AudioError, match="NaN"):
        list(read_blocks(sources[1], engine=engine))
    with pytest.raises(AudioError, match="3 channels, 0 to 2") as caught:
        list(read_blocks(Source("three.wav", file, channel=3), engine=engine))
    assert caught.value.code == "channel"


def test_standard_input_is_split_too_and_what_cannot_be_opened_fails_when_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = np.stack([babble(0.5, seed) for seed in (1, 2)], axis=1)
    stream = io.BytesIO()
    soundfile.write(stream, sound, 16_000, format="WAV", subtype="FLOAT")
    stream.seek(0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stream))
    given = [Source("-", Path("-")), Source("gone.wav", Path("gone.wav")), Source("m:1", Path(), error="bad")]
    with ExitStack() as copies:
        left, right, *others = channels_apart(given, copies)
        for channel, source in enumerate((left, right)):
            assert (source.path, source.channel) == ("-", channel)
            np.testing.assert_array_equal(np.concatenate(list(read_blocks(source))), sound[:, channel])
    gone, bad = others
    assert bad == given[2]
    assert gone.error_code == "not_found"
    with pytest.raises(AudioError) as told:
        list(read_blocks(gone))
    with pytest.raises(AudioError) as expected:
        list(read_blocks(given[1]))
    assert (str(told.value), told.value.code) == (str(expected.value), expected.value.code)
    assert not left.file.exists()


def test_what_could_not_be_split_is_never_read_as_the_mix(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    """Not even where it can be read by the time it has its turn; the next run with --resume splits it."""
    late = tmp_path / "late.wav"
    late.write_text("no audio")
    given = InputOptions([str(late), "gone.wav"], None, False, channel="split").at_once()
    soundfile.write(late, np.stack([babble(1.0, seed) for seed in (1, 2)], axis=1), 16_000)
    failed, gone = given.sources()
    with pytest.raises(AudioError, match="not an audio file") as caught:
        list(read_blocks(failed))
    assert caught.value.code == "not_audio"
    assert gone.failure("", "").row == {"audio_filepath": str(Path.cwd() / "gone.wav")}
    call = tmp_path / "call.wav"
    call.write_text("no audio")
    out = tmp_path / "out"
    run = ("transcribe", call, audio / "b.wav", "-m", ctc, "-o", out, "--resume", "--channel", "split")
    assert sew(*run).code == 3
    call.write_bytes(late.read_bytes())
    assert sew(*run).code == 0
    assert {file.name for file in out.glob("*.txt")} == {"b_ch0.txt", "call_ch0.txt", "call_ch1.txt"}


@pytest.mark.parametrize("channel", ["split", "0"])
def test_a_channel_that_failed_is_tried_again_alone(
    sew: Sew, ctc: Path, tmp_path: Path, channel: str
) -> None:
    sound = np.stack([babble(1.0, seed) for seed in (1, 2)], axis=1)
    sound[100, 1] = np.nan
    file, failed = tmp_path / "call.wav", tmp_path / "failed.jsonl"
    soundfile.write(file, sound, 16_000, subtype="FLOAT")
    result = sew("transcribe", file, "-m", ctc, "--channel", "split", "--failures", failed)
    assert (result.code, len(result.lines)) == (3, 1)
    soundfile.write(file, np.nan_to_num(sound), 16_000, subtype="FLOAT")
    again = sew("transcribe", "--files-from", failed, "-m", ctc, "--channel", channel, "-f", "json")
    assert [(record["path"], record["channel"]) for record in again.records] == [(str(file), 1)]


def test_standard_input_that_is_no_audio_says_so_when_it_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"text, not audio")))
    copies = ExitStack()
    [source] = channels_apart([Source("-", Path("-"))], copies)
    with copies, pytest.raises(AudioError, match="standard input: not an audio file"):
        list(read_blocks(source))


def test_failed_parts_of_a_file_are_told_apart(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    rows = [{"audio_filepath": "gone.wav", "offset": offset, "duration": 1} for offset in (0, 2.5)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = sew("transcribe", "--files-from", tmp_path / "rows.jsonl", "-m", ctc, "-f", "json")
    assert [record["offset"] for record in result.records] == [0, 2.5]
    assert all("error" in record for record in result.records)
    aligned = sew("align", "--files-from", tmp_path / "rows.jsonl", "-m", ctc)
    assert "its row has no text" in aligned.err

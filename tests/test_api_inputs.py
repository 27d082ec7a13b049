"""What the methods of a model take: files, bytes, arrays, rows of data sets, one or many."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from helpers import babble

import sewcli


@pytest.fixture(scope="module")
def model(ctc: Path) -> sewcli.Model:
    return sewcli.load(ctc)


def test_bytes_and_open_files_are_the_file(model: sewcli.Model, audio: Path, tmp_path: Path) -> None:
    file = audio / "sub" / "c.d.flac"
    expected = model.transcribe(file)
    data = file.read_bytes()
    for given, path in ((data, "<bytes>"), (memoryview(data), "<bytes>"), (io.BytesIO(data), "<stream>")):
        found = model.transcribe(given)
        assert found == replace(expected, path=path)
    with file.open("rb") as stream:
        assert model.transcribe(stream) == expected
    with file.open("rb") as stream:
        results = list(
            model.transcribe_many([data, stream, io.BytesIO(b"no audio"), io.BytesIO()], read_workers=1)
        )
    assert [getattr(result, "code", "") for result in results] == ["", "", "not_audio", "empty_file"]
    part = model.transcribe(data, start=0.5, end=1.5)
    assert part == replace(model.transcribe(file, start=0.5, end=1.5), path="<bytes>")


class Unreadable:
    """What an object of another library may be: it breaks where it is asked for something."""

    def read(self, _count: int = -1) -> bytes:
        raise ValueError("the connection is gone")


class OfBytes:
    def __fspath__(self) -> bytes:
        return b"a.wav"


class Broken:
    """Samples that cannot be had, as those of a lazy decoder whose clip is cut."""

    def __array__(self, *_: object, **__: object) -> Any:
        raise RuntimeError("end of file")

    @property
    def shape(self) -> tuple[int]:
        return (16_000,)


def test_what_breaks_when_it_is_asked_fails_alone(model: sewcli.Model, audio: Path, tmp_path: Path) -> None:
    good = audio / "b.wav"
    with (tmp_path / "new.wav").open("wb") as for_writing:
        bad: list[Any] = [Unreadable(), OfBytes(), (Broken(), 16_000), for_writing]
        bad += [memoryview(good.read_bytes())[::2], {"audio": Broken()}]
        results = list(model.transcribe_many([one for each in bad for one in (good, each)] + [good]))
    assert [isinstance(result, sewcli.Failure) for result in results] == [False, True] * len(bad) + [False]
    told = [result.message for result in results if isinstance(result, sewcli.Failure)]
    assert "the connection is gone" in told[0]
    assert "end of file" in told[2]
    files: list[Any] = [123, b"x", OfBytes()]
    assert [type(result) for result in sewcli.decode_many(files)] == [sewcli.Failure] * 3


def test_what_is_no_input_is_told(model: sewcli.Model, audio: Path, tmp_path: Path) -> None:
    gone = (audio / "b.wav").open("rb")
    gone.close()
    (tmp_path / "a.txt").write_text("text")
    with (tmp_path / "a.txt").open() as text:
        for given, told in (
            (gone, "closed"),
            (text, "open for text"),
            ((np.zeros(9), 8000), "two arguments"),
        ):
            wrong: Any = given
            with pytest.raises(sewcli.UsageError, match=told):
                model.transcribe(wrong)
    with pytest.raises(sewcli.UsageError, match="sample_rate is for arrays"):
        model.transcribe(b"RIFF", 16000)
    with pytest.raises(sewcli.UsageError, match="one input"):
        model.transcribe_many(b"RIFF")


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (8_000, 1), (44_100, 2)])
@pytest.mark.parametrize("kind", ["float32", "float64", "int16"])
def test_an_array_is_the_file_it_was_read_from(
    model: sewcli.Model, tmp_path: Path, rate: int, channels: int, kind: str
) -> None:
    file = tmp_path / "a.wav"
    sound = np.stack([babble(1.5, seed, rate) for seed in range(channels)], axis=1)
    soundfile.write(file, sound, rate, subtype="PCM_16")
    samples, _ = soundfile.read(file, dtype=kind)
    expected = model.transcribe(file)
    result = model.transcribe(samples, rate)
    assert (result.text, result.words, result.duration) == (expected.text, expected.words, expected.duration)
    assert expected.text


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i2", "i4", "f4"])
def test_samples_may_have_either_byte_order(model: sewcli.Model, order: str, kind: str) -> None:
    scale = {"i2": 2**15, "i4": 2**31, "f4": 1}[kind]
    samples = babble(1.0)
    given = (samples.astype(np.float64) * (scale / 2)).astype(order + kind)
    assert model.transcribe(given, 16_000).text == model.transcribe(samples / 2, 16_000).text


def test_part_and_channel_of_an_array(model: sewcli.Model, tmp_path: Path) -> None:
    samples = np.stack([babble(3, 1), babble(3, 2)], axis=1)
    whole = model.transcribe(samples, 16_000, start=0.5, end=2.5, channel=1)
    alone = model.transcribe(samples[8_000:40_000, 1], 16_000)
    assert (whole.text, whole.offset, whole.channel) == (alone.text, 0.5, 1)
    assert whole.text != model.transcribe(samples, 16_000).text


def test_failures_are_values_in_their_place(model: sewcli.Model, audio: Path) -> None:
    inputs: list[Any] = [
        audio / "b.wav",
        "gone.wav",
        (np.zeros(100, np.float32), 16_000),
        (np.full(16_000, np.nan), 16_000),
        (np.zeros((2, 16_000)), 16_000),
        (np.zeros(16_000, np.uint8), 16_000),
        (np.zeros(16_000), 3),
        (np.zeros(16_000), None),
        (np.zeros(16_000), 22_050.9),
        (np.zeros(16_000), np.inf),
        np.zeros(16_000),
        7,
        (babble(1.0), 16_000),
    ]
    results = list(model.transcribe_many(inputs))
    failures = [one.code if isinstance(one, sewcli.Failure) else "" for one in results]
    assert failures == [
        "", "not_found", "too_short", "not_finite", "source", "source", "sample_rate",
        "source", "source", "source", "source", "source", "",
    ]  # fmt: skip
    assert all("(samples, rate)" in results[number].message for number in (10, 11))
    with pytest.raises(sewcli.AudioError, match=r"gone\.wav: no such file") as caught:
        model.transcribe("gone.wav")
    assert caught.value.code == "not_found"


def test_a_row_of_a_data_set_is_what_it_holds(model: sewcli.Model, audio: Path, tmp_path: Path) -> None:
    file, (samples, rate) = audio / "b.wav", soundfile.read(audio / "b.wav", dtype="float32")
    expected = model.transcribe(file).text
    rows: list[Any] = [
        {"array": samples, "sampling_rate": rate, "path": None},
        {"bytes": file.read_bytes(), "path": "b.wav"},
        {"bytes": None, "path": str(file)},
    ]
    assert [model.transcribe(row).text for row in rows] == [expected] * 3
    assert [one.text for one in model.transcribe_many(rows)] == [expected] * 3
    assert model.transcribe(rows[0], rate).text == expected

    class Decoded:
        """As data sets give audio since their version 4, made by torchcodec."""

        def __getitem__(self, key: str) -> Any:
            return rows[0][key]

        def get_all_samples(self) -> None:
            """Not asked for."""

    decoded: Any = Decoded()
    assert model.transcribe(decoded).text == expected
    with pytest.raises(sewcli.UsageError, match="dict: one input"):
        model.transcribe_many(rows[0])
    copy = tmp_path / "b.wav"
    copy.write_bytes(file.read_bytes())
    with pytest.raises(sewcli.UsageError, match="is the recording"):
        model.transcribe({"path": str(copy), "bytes": None}, save_logits=copy)
    assert copy.read_bytes() == file.read_bytes()
    with pytest.raises(sewcli.UsageError, match="sample_rate=8000, and its sampling_rate is 16000"):
        model.transcribe(rows[0], 8000)
    with pytest.raises(sewcli.UsageError, match=r"mapping of 'audio' is no audio .*'sampling_rate'"):
        model.transcribe({"audio": samples})
    [failed] = model.transcribe_many([{}])
    assert "a mapping of nothing is no audio" in failed.message
    with pytest.raises(sewcli.UsageError, match="NoneType: no recording"):
        model.transcribe(None)  # type: ignore[arg-type]


def test_inputs_are_taken_one_by_one(model: sewcli.Model, audio: Path) -> None:
    """An endless iterator of inputs gives results all the same."""
    taken = []

    def endless() -> Iterator[Path]:
        for number in itertools.count():
            taken.append(number)
            yield audio / "b.wav"

    results = model.transcribe_many(endless())
    assert not taken
    assert len(list(itertools.islice(results, 3))) == 3
    assert len(taken) < 10


def test_file_named_dash_is_a_file(
    model: sewcli.Model, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "-").write_bytes((audio / "b.wav").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert model.transcribe("-").text == model.transcribe(audio / "b.wav").text

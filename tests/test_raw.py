"""Samples without a header on standard input."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import Samples, babble, write_babble

from sewcli.audio import read_blocks
from sewcli.inputs.raw import RAW_FORMATS, RawAudio
from sewcli.inputs.source import Source

#: largest error of a format on sound within half of full scale
ERRORS = {"s16": 2**-15, "s24": 2**-23, "s32": 2**-23, "f32": 0, "f64": 0, "s8": 2**-7, "u8": 2**-7}


def as_bytes(samples: Samples, form: str) -> bytes:
    """Samples of shape (frames, channels) as numpy writes them; the laws of G.711 by libsndfile in a wav."""
    if form in ("mulaw", "alaw"):
        wav = io.BytesIO()
        soundfile.write(wav, samples, 8_000, format="WAV", subtype={"mulaw": "ULAW", "alaw": "ALAW"}[form])
        return wav.getvalue()[-samples.size :]
    order = ">" if form.endswith("be") else "<"
    bits = int(form.strip("sufleb"))
    if form.startswith("f"):
        return samples.astype(f"{order}f{bits // 8}").tobytes()
    whole = np.rint(samples.astype(np.float64) * 2 ** (bits - 1)).astype(np.int64)
    if form == "u8":
        return (whole + 128).astype(np.uint8).tobytes()
    if bits == 24:
        four = whole.astype(f"{order}i4").tobytes()
        pieces = np.frombuffer(four, np.uint8).reshape(-1, 4)
        return (pieces[:, 1:] if order == ">" else pieces[:, :3]).tobytes()
    return whole.astype(f"{order}i{bits // 8}").tobytes()


@pytest.mark.parametrize("form", RAW_FORMATS)
def test_every_format_gives_the_samples_that_were_written(form: str) -> None:
    samples = np.stack([babble(1.0, 1), babble(1.0, 2)], axis=1) / 2
    source = Source("-", Path("-"), raw=RawAudio(16_000, form, 2), channel=1)
    data = as_bytes(samples, form) + b"\0"  # not a whole frame, which is left out
    found = np.concatenate(list(read_blocks(source, stdin=io.BytesIO(data))))
    assert len(found) == len(samples)
    # the laws keep 13 bits of what is quiet, and steps of 1/32 of what is loud
    error = ERRORS.get(form.removesuffix("le").removesuffix("be"), 0.02)
    np.testing.assert_allclose(found, samples[:, 1], rtol=0, atol=error)


def test_raw_samples_give_the_text_of_the_file(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    file = write_babble(tmp_path / "a.wav", 2.0, rate=8_000, channels=2)
    frames, _ = soundfile.read(file, dtype="int16")
    told = ("--raw-rate", "8000", "--raw-channels", "2")
    for more in (
        (),
        ("--start", "0.5", "--end", "1.5"),
        ("--channel", "split"),
        ("--audio-engine", "librosa"),
    ):
        [*expected] = sew("transcribe", "-m", ctc, "-f", "json", file, *more).records
        found = sew("transcribe", "-m", ctc, "-f", "json", "-", *told, *more, stdin=frames.tobytes()).records
        assert [{**record, "path": ""} for record in found] == [{**record, "path": ""} for record in expected]
        assert all(record["path"] == "-" for record in found)


def test_what_does_not_go_together_is_wrong_usage(sew: Sew, ctc: Path, audio: Path) -> None:
    for arguments, words in (
        ((audio / "a.wav", "--raw-rate", "8000"), "name - as an input"),
        (("-", "--raw-format", "u8"), "add --raw-rate"),
        (("-", "--raw-channels", "2"), "add --raw-rate"),
        (("-", "--raw-rate", "8000", "--raw-format", "s16"), "s16le"),
        (("-", "--raw-rate", "10"), "--raw-rate"),
    ):
        result = sew("transcribe", *arguments)
        assert result.code == 2
        assert words in result.err


def test_a_file_with_a_header_is_not_taken_for_samples(sew: Sew, ctc: Path, audio: Path) -> None:
    m4a = b"\0\0\0\x1cftypM4A " + bytes(9_999)
    for content in ((audio / "a.wav").read_bytes(), m4a, b"ID3\x04" + bytes(9_999)):
        for command in (("transcribe", "-m", ctc), ("classify", "--window", "1")):
            result = sew(*command, "-", "--raw-rate", "16000", stdin=content)
            assert result.code == 4
            assert "leave out --raw-rate" in result.messages[0]
    empty = sew("transcribe", "-m", ctc, "-", "--raw-rate", "16000", stdin=b"\0")
    assert empty.code == 4
    assert "holds no samples" in empty.messages[0]

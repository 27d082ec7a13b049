"""`sew decode`: what the network gave, kept in files and decoded again, equal to transcribing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Sew
from helpers import needs_pyctcdecode
from safetensors.numpy import load_file

#: as many as the logits have columns
TOKENS = [chr(ord("A") + number) for number in range(32)]


@pytest.fixture
def kept(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "logits"
    result = sew("transcribe", audio, "-m", ctc, "--save-logits", folder)
    assert (result.code, len(result.lines)) == (0, 3)
    return folder


def test_files_are_safetensors_named_and_placed_like_the_inputs(kept: Path) -> None:
    names = sorted(str(file.relative_to(kept)) for file in kept.rglob("*") if file.is_file())
    assert names == [f"{name}.logits.safetensors" for name in ("a", "b", "sub/c.d")]
    logits = load_file(kept / "a.logits.safetensors")["logits"]
    assert (logits.dtype, logits.shape) == (np.float32, (148, 32))


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--timestamps", "char"),
        pytest.param(
            ("--decoder", "beam", "--beam-width", "9", "--n-best", "3", "--hotword", "a"),
            marks=needs_pyctcdecode,
        ),
    ],
)
def test_equal_to_transcribing(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Parts, channels and long recordings in several chunks too."""
    (tmp_path / "rows.jsonl").write_text(
        json.dumps({"audio_filepath": str(audio / "a.wav"), "offset": 0.5, "duration": 1.5}) + "\n"
    )
    for number, inputs in enumerate(
        (
            (audio,),
            ("--files-from", tmp_path / "rows.jsonl"),
            (audio, "--channel", "0", "--chunk", "1", "--stride", "0.2"),
        )
    ):
        folder = tmp_path / str(number)
        given = ("transcribe", *inputs, "-m", ctc, "-f", "json", *options)
        expected = sew(*given, "--save-logits", folder)
        assert expected.code == 0, expected.err
        decoded = sew("decode", folder, "-f", "json", *options)
        assert decoded.code == 0, decoded.err
        assert decoded.records == expected.records
        assert decoded.messages == expected.messages


def test_output_directories_and_resume(sew: Sew, ctc: Path, audio: Path, kept: Path, tmp_path: Path) -> None:
    given = ("decode", kept, "-o", tmp_path / "out", "-f", "srt", "-f", "json", "--resume")
    assert sew(*given).code == 0
    written = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.srt"))
    assert written == ["a.srt", "b.srt", "sub/c.d.srt"]
    assert "3 of 3 inputs were done before" in sew(*given).err
    assert "done before" not in sew(*given, "--timestamps", "char").err
    [first, *_] = sew("transcribe", audio, "-m", ctc, "-f", "json").records
    assert json.loads((tmp_path / "out" / "a.json").read_text())["text"] == first["text"]


def test_a_recording_is_never_replaced_by_its_text(
    sew: Sew, audio: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(audio)
    before = (audio / "a.wav").read_bytes()
    file = kept / "a.logits.safetensors"
    refused = sew("decode", file, "-o", audio, "--output-template", "{name}", "--overwrite")
    assert refused.code == 2
    assert f"{audio / 'a.wav'} is an input" in refused.err
    assert (audio / "a.wav").read_bytes() == before


def test_bad_files_fail_alone(sew: Sew, kept: Path, tmp_path: Path) -> None:
    good = kept / "b.logits.safetensors"
    cut, text = tmp_path / "cut.safetensors", tmp_path / "text.safetensors"
    cut.write_bytes(good.read_bytes()[:-4])
    text.write_text("no logits at all")
    result = sew("decode", cut, good, text, tmp_path / "gone", "-f", "json")
    assert result.code == 3
    codes = [record.get("error", {}).get("code") for record in result.records]
    assert codes == ["damaged_logits", None, "damaged_logits", "not_found"]
    assert all(name in result.err for name in ("cut.safetensors", "text.safetensors", "gone"))
    (tmp_path / "empty").mkdir()
    assert sew("decode", tmp_path / "empty").code == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("duration", "long"),
        ("duration", float("nan")),
        ("duration", 10**400),
        ("duration", -1),
        ("duration", 99_999_999.0),
        ("offset", None),
        ("offset", 1e308),
        ("path", "a\0.wav"),
        ("path", "\ud800.wav"),
        ("root", "elsewhere"),
        ("path", {}),
        ("path", None),
        ("root", 3),
        ("channel", {}),
        ("part", "all"),
        ("model", {"id": [], "revision": None}),
        ("settings", []),
        ("vocabulary", {"tokens": [1], "blank": 0, "delimiter": None, "special": []}),
        ("vocabulary", {"tokens": TOKENS, "blank": "x", "delimiter": None, "special": []}),
        ("vocabulary", {"tokens": TOKENS, "blank": 32, "delimiter": None, "special": []}),
        ("vocabulary", {"tokens": TOKENS, "blank": None, "delimiter": None, "special": []}),
        ("vocabulary", {"tokens": TOKENS, "blank": 0, "delimiter": 999, "special": []}),
        ("vocabulary", {"tokens": TOKENS, "blank": 0, "delimiter": None, "special": [-1]}),
        ("vocabulary", {"tokens": ["\ud800", *TOKENS[1:]], "blank": 0, "delimiter": None, "special": []}),
        ("vocabulary", {"tokens": ["B", *TOKENS[1:]], "blank": 5, "delimiter": None, "special": []}),
        ("model", {"id": "m", "start_offset": "x"}),
        ("model", {"id": "m", "end_offset": float("nan")}),
        ("dtype", "F64"),
        ("data_offsets", [0, 4]),
        ("data_offsets", [-8, 0]),
    ],
)
def test_logits_with_a_header_that_sew_never_writes_fail_alone(
    sew: Sew, kept: Path, tmp_path: Path, key: str, value: object
) -> None:
    good = kept / "b.logits.safetensors"
    raw = good.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    if key in header["logits"]:
        header["logits"][key] = value
    else:
        assert key in header["__metadata__"]
        header["__metadata__"][key] = json.dumps(value)
    changed = json.dumps(header).encode()
    other = tmp_path / "other.safetensors"
    other.write_bytes(len(changed).to_bytes(8, "little") + changed + raw[8 + size :])
    result = sew("decode", other, good, "-f", "json")
    assert result.code == 3
    assert [record.get("error", {}).get("code") for record in result.records] == ["damaged_logits", None]


def test_logits_that_exist_are_kept_unless_told(sew: Sew, ctc: Path, audio: Path, kept: Path) -> None:
    given = ("transcribe", audio / "b.wav", "-m", ctc, "--save-logits", kept)
    refused = sew(*given)
    assert (refused.code, refused.out, "--overwrite" in refused.err) == (2, b"", True)
    assert sew(*given, "--overwrite").code == 0

"""An error names the setting it is about; settings of files that cannot be are passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Sew


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ('device = "tpu"', "--device"),
        ('channel = "left"', "--channel"),
        ("chunk = 0.5", "--chunk"),
        ('start = "abc"', "--start"),
        ('format = "foo"', "--format"),
        ('model = "no-such-model"', "--model"),
    ],
)
def test_the_file_or_the_variable_is_named(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sew.toml").write_text(f"{line}\n")
    model = () if option == "--model" else ("-m", ctc)
    result = sew("transcribe", audio / "b.wav", *model)
    assert result.code == (5 if option == "--model" else 2)
    [message] = result.messages
    assert f"{option} is set by sew.toml" in message
    (tmp_path / "sew.toml").unlink()

    key, value = line.split(" = ")
    variable = f"SEW_{key.upper()}"
    monkeypatch.setenv(variable, value.strip('"'))
    [message] = sew("transcribe", audio / "b.wav", *model).messages
    assert f"{option} is set by {variable}" in message
    monkeypatch.delenv(variable)
    given = () if option == "--model" else (option, value.strip('"'))
    [message] = sew("transcribe", audio / "b.wav", *(model or ("-m", "no-such-model")), *given).messages
    assert "is set by" not in message


@pytest.mark.parametrize(
    ("variable", "value", "given"),
    [
        ("SEW_OFFLINE", "1", ("https://example.org/a.wav",)),
        ("SEW_TIMESTAMPS", "none", ("{audio}", "-f", "srt")),
    ],
)
def test_what_the_hint_tells_to_leave_out_is_named(
    sew: Sew,
    ctc: Path,
    audio: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    given: tuple[str, ...],
) -> None:
    monkeypatch.setenv(variable, value)
    clip = str(audio / "b.wav")
    result = sew("transcribe", *(part.format(audio=clip) for part in given), "-m", ctc)
    assert result.code == 2
    option = f"--{variable.removeprefix('SEW_').lower()}"
    assert f"{option} is set by {variable}" in result.messages[0]


def test_other_settings_are_not_blamed(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sew.toml").write_text("stride = 0.5\nthreads = 1\n")
    assert "is set by" not in sew("transcribe", audio / "b.wav", "-m", ctc, "--device", "tpu").err
    # a number in a message need not be that of a setting
    unspellable = sew("align", audio / "b.wav", "-m", ctc, "--text", "12 meters")
    assert "has no '1' '2'" in unspellable.err
    assert "is set by" not in unspellable.err


def test_of_several_formats_in_a_file_standard_output_gets_the_first(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sew.toml").write_text('[transcribe]\nformat = ["json", "srt"]\n')
    [record] = sew("transcribe", audio / "b.wav", "-m", ctc).records
    assert record["path"]
    assert sew("transcribe", audio / "b.wav", "-m", ctc, "-o", tmp_path / "out").code == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"b.json", "b.srt"}


def test_words_of_the_libraries_are_left_out(
    sew: Sew, audio: Path, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = sew("transcribe", audio / "b.wav", "-m", ctc, "--case", "foo")
    assert wrong.code == 2
    assert "'foo' is not one of" in wrong.err
    assert "Value error" not in wrong.err
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sew.toml").write_text('case = "foo"\n')
    assert "Value error" not in sew("transcribe", audio / "b.wav", "-m", ctc).err
    (tmp_path / "sew.toml").unlink()
    short = sew("models", "list", "-h")
    assert short.code == 2
    assert "--help" in short.err


def test_the_name_of_a_file_is_no_directory(sew: Sew, audio: Path, ctc: Path, tmp_path: Path) -> None:
    given = ("transcribe", audio / "b.wav", "-m", ctc, "-f", "srt", "-o")
    for name in ("out.srt", "out.txt"):
        result = sew(*given, tmp_path / name)
        assert result.code == 2
        assert "looks like a file" in result.err
        assert not (tmp_path / name).exists()
    (tmp_path / "out.srt").mkdir()
    assert sew(*given, tmp_path / "out.srt").code == 0
    assert sew(*given, tmp_path / "v1.2").code == 0


def test_samples_on_standard_input_need_their_rate(sew: Sew, ctc: Path) -> None:
    result = sew("transcribe", "-", "-m", ctc, stdin=bytes(range(256)) * 200)
    assert result.code == 4
    assert "--raw-rate" in result.err

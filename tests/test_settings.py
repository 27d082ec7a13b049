"""Settings: option, environment, project file, user file, default; and `sew config show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Sew
from settings_shown import facts, shown, write_user


def test_option_environment_project_user_default(
    sew: Sew, project: Path, user_directory: Path, audio: Path, ctc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place gives another chunk; the settings of a result tell which one was in force."""

    def chunk(*arguments: str) -> float:
        result = sew("transcribe", audio / "b.wav", "-m", ctc, "-f", "json", *arguments)
        assert result.code == 0, result.err
        value: float = result.records[0]["settings"]["chunk"]
        return value

    assert chunk() == 20
    write_user(user_directory, "chunk = 5")
    assert chunk() == 5
    (project / "pyproject.toml").write_text("[tool.sew]\nchunk = 6\n[tool.sew.transcribe]\nchunk = 7\n")
    assert chunk() == 7
    (project / "sew.toml").write_text("chunk = 8")
    assert chunk() == 8
    monkeypatch.setenv("SEW_CHUNK", "9")
    assert chunk() == 9
    assert chunk("--chunk", "10") == 10


@pytest.mark.defaults
def test_config_show_tells_value_and_place(
    sew: Sew, project: Path, user_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_user(user_directory, 'device = "cpu"\nthreads = 2\n[transcribe]\nmax_chars = 30\n')
    (project / "sew.toml").write_text('threads = 3\ninclude = "*.wav"\n[classify]\nformat = "json"\n')
    monkeypatch.setenv("SEW_TOP", "4")
    rows = shown(sew)
    assert facts(rows["device"]) == ("cpu", "user", str(file))
    assert facts(rows["threads"]) == (3, "project", "sew.toml")
    assert facts(rows["transcribe.max-chars"]) == (30, "user", f"{file} [transcribe]")
    assert facts(rows["include"]) == (["*.wav"], "project", "sew.toml")
    assert facts(rows["top"]) == (4, "environment", "SEW_TOP")
    assert facts(rows["beam-width"]) == (100, "default", None)
    assert facts(rows["classify.format"]) == (["json"], "project", "sew.toml [classify]")
    assert facts(rows["align.timestamps"]) == ("char", "default", None)

    text = sew("config", "show").lines
    assert text[0] == f"# {file}: read"
    cells = {line.split("\t")[0]: line.split("\t")[1:] for line in text if "\t" in line}
    assert cells["device"] == ["cpu", str(file)]
    assert cells["beam-width"] == ["100", "default"]
    assert cells.keys() == rows.keys()


def test_config_show_marks_what_a_command_would_refuse(
    sew: Sew, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "sew.toml").write_text('statistics = "none"\nhotword-weight = 2\noverwrite = true\n')
    monkeypatch.setenv("SEW_BEAM_WIDTH", "many")
    rows = {row["key"]: row for row in sew("config", "show", "-f", "json").records[0]["settings"]}
    assert (rows["hotword-weight"]["value"], rows["hotword-weight"]["problem"]) == (2.0, None)
    assert rows["statistics"]["value"] == "none"
    assert "'chunk'" in rows["statistics"]["problem"]
    assert "integer" in rows["beam-width"]["problem"]
    shown = {line.split()[0]: line for line in sew("config", "show").lines}
    assert "sew.toml: 'none' is not one of" in shown["statistics"]
    assert "true\tsew.toml: does not count here" in shown["overwrite"]
    monkeypatch.setenv("SEW_OVERWRITE", "1")
    [row] = [line for line in sew("config", "show").lines if line.startswith("overwrite")]
    assert row == "overwrite\ttrue\tSEW_OVERWRITE"


def test_every_option_of_a_command_can_stand_in_a_file(sew: Sew, project: Path) -> None:
    keys = {name.split(".")[-1] for name in shown(sew)}
    assert {"device", "batch-seconds", "format", "output", "model", "offline", "hotword"} <= keys
    settings = "".join(f"{key.replace('-', '_')} = []\n" for key in sorted(keys))
    (project / "sew.toml").write_text(settings)
    assert "not a list" in sew("transcribe", "x.wav").err  # all keys are known before a value is looked at
    (project / "sew.toml").write_text(settings + "debug = true\n")
    assert "unknown key debug" in sew("transcribe", "x.wav").err


def test_model_of_a_file_counts_where_its_task_fits(
    sew: Sew, project: Path, audio: Path, ctc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "sew.toml").write_text(f"model = {json.dumps(str(ctc))}\n")
    clip = audio / "b.wav"
    for command, used in (("transcribe", str(ctc)), ("classify", "nano-keywords")):
        result = sew(command, clip, "-f", "json")
        assert result.code == 0, result.err
        assert result.records[0]["model"]["id"] == used
    monkeypatch.setenv("SEW_MODEL", "nano")
    assert sew("transcribe", clip, "-f", "json").records[0]["model"]["id"] == "nano"


@pytest.mark.parametrize(
    ("variable", "value", "given", "told"),
    [
        ("SEW_WITH_PATH", "1", "-h", ""),
        ("SEW_NO_PATH", "1", "-H", ""),
        ("SEW_NO_PROGRESS", "1", "--progress log", "1 of 1 file done"),
        ("SEW_QUIET", "1", "-v", "on cpu"),
        ("SEW_VERBOSE", "1", "-q", ""),
        ("SEW_QUIET", "1", "--debug", "on cpu"),
    ],
)
def test_command_line_wins_over_the_opposite_elsewhere(
    sew: Sew,
    project: Path,
    audio: Path,
    ctc: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    given: str,
    told: str,
) -> None:
    command = ("transcribe", audio / "b.wav", "-m", ctc, *given.split())
    expected = sew(*command)
    monkeypatch.setenv(variable, value)
    result = sew(*command)
    assert (result.code, result.out) == (0, expected.out)
    assert told in result.err
    assert "no effect" not in result.err
    if not told:
        assert result.err == ""
    monkeypatch.delenv(variable)
    (project / "sew.toml").write_text(f"{variable.removeprefix('SEW_').lower()} = true\n")
    assert sew(*command).out == expected.out


def test_overwriting_wins_over_resuming_elsewhere(
    sew: Sew, project: Path, audio: Path, ctc: Path, tmp_path: Path
) -> None:
    (project / "sew.toml").write_text("[transcribe]\nresume = true\n")
    given = ("transcribe", audio / "b.wav", "-m", ctc, "-o", tmp_path / "out")
    assert sew(*given).code == 0
    text = (tmp_path / "out" / "b.txt").read_text()
    (tmp_path / "out" / "b.txt").write_text("edited")
    result = sew(*given, "--overwrite")
    assert (result.code, result.err) == (0, "")
    assert (tmp_path / "out" / "b.txt").read_text() == text
    assert not (tmp_path / "out" / "b.txt~").exists()


def test_greedy_decoding_wins_over_a_language_model_elsewhere(
    sew: Sew, project: Path, audio: Path, ctc: Path
) -> None:
    given = ("transcribe", audio / "b.wav", "-m", ctc, "--decoder", "greedy")
    expected = sew(*given)
    (project / "sew.toml").write_text('lm = "builtin"\n')
    result = sew(*given)
    assert (result.code, result.out, result.err) == (0, expected.out, "")
    assert sew(*given, "--lm", "builtin").code == 2
    assert sew(*given, "--unigrams", audio / "b.wav").code == 2
    # and the other way round: the search wants kenlm
    (project / "sew.toml").write_text('decoder = "greedy"\n')
    beam = sew("transcribe", audio / "b.wav", "-m", ctc, "--lm", project / "gone.arpa")
    assert beam.code == 2
    assert "goes with beam search" not in beam.err


def test_text_of_the_environment_gives_way_to_a_file(
    sew: Sew, project: Path, audio: Path, ctc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "text.txt").write_text("go")
    given = ("align", audio / "b.wav", "-m", ctc, "--text-file", project / "text.txt")
    expected = sew(*given)
    assert expected.code == 0
    monkeypatch.setenv("SEW_TEXT", "stop")
    assert sew(*given).out == expected.out

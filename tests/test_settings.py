"""Settings: option, environment, project file, user file, default; and `sew config show`."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import Sew


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


NESTED = "sew = " + "[" * 100_000


def shown(sew: Sew) -> dict[str, dict[str, Any]]:
    """What `sew config show` says, by key, or COMMAND.KEY where commands differ."""
    result = sew("config", "show", "-f", "json")
    assert result.code == 0, result.err
    [record] = result.records
    return {
        row["key"] if row["command"] is None else f"{row['command']}.{row['key']}": row
        for row in record["settings"]
    }


def facts(row: dict[str, Any]) -> tuple[Any, str, str | None]:
    return row["value"], row["source"], row["origin"]


def write_user(user_directory: Path, text: str) -> Path:
    user_directory.mkdir(parents=True, exist_ok=True)
    file = user_directory / "config.toml"
    file.write_text(text)
    return file


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


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("chunk =", ["not valid TOML"]),
        ("\xff", ["not valid TOML"]),
        ("chnk = 3", ["unknown key chnk", "did you mean chunk"]),
        ("[transcribe]\ntop = 3", ["unknown key [transcribe] top"]),
        ("beam_width = 5\nbeam-width = 6", ["beam_width and beam-width are one setting"]),
        ("[transcrib]\n", ["unknown table [transcrib]", "did you mean transcribe"]),
        ("[tool.sew]\nchunk = 3", ["unknown table [tool]"]),
        ("threads = 2.5", ["threads = 2.5"]),
        ("threads = true", ["threads = true"]),
        ("threads = [1]", ["threads = 1", "not a list"]),
        ("threads = 0", ["threads = 0"]),
        ('quiet = "perhaps"', ["quiet = perhaps"]),
        ('dtype = "int4"', ["dtype = int4", "bfloat16"]),
        ('[transcribe]\ndtype = "int4"', ["[transcribe]: dtype = int4"]),
        ("include = [[1]]", ["include", "list"]),
        ("chunk = 2026-01-01", ["chunk", "date"]),
        ("overwrite = true", ["overwrite does not count here", "--overwrite"]),
        ("[transcribe]\noverwrite = 1", ["[transcribe]: overwrite does not count here"]),
    ],
)
def test_bad_file_is_wrong_usage_and_named(
    sew: Sew, project: Path, audio: Path, content: str, parts: list[str]
) -> None:
    (project / "sew.toml").write_text(content, encoding="latin-1")
    result = sew("transcribe", audio / "b.wav")
    assert (result.code, result.out) == (2, b"")
    [message] = result.messages
    assert "sew.toml" in message
    assert not [part for part in parts if part not in message]


def test_the_user_may_agree_that_files_are_replaced(
    sew: Sew, project: Path, user_directory: Path, audio: Path, ctc: Path
) -> None:
    """Once and for all, or no: a project may take it back."""
    command = ("transcribe", audio / "b.wav", "-m", ctc, "-o", project / "out")
    (project / "sew.toml").write_text("overwrite = false\n")
    assert sew(*command).code == 0
    (project / "sew.toml").unlink()
    assert sew(*command).code == 2
    write_user(user_directory, "overwrite = true\n")
    assert sew(*command).code == 0
    (project / "sew.toml").write_text("overwrite = false\n")
    assert sew(*command).code == 2


@pytest.mark.parametrize("name", ["sew.toml", "pyproject.toml"])
def test_a_file_that_would_never_end_is_not_read(sew: Sew, project: Path, audio: Path, name: str) -> None:
    (project / name).symlink_to("/dev/zero")
    result = sew("transcribe", audio / "gone.wav")
    assert "unexpected" not in result.err
    assert ("sew.toml: cannot be read: it is no file" in result.err) == (name == "sew.toml")


def test_table_of_another_command_is_not_in_the_way(
    sew: Sew, project: Path, audio: Path, classifier: Path
) -> None:
    (project / "sew.toml").write_text('[transcribe]\nformat = "srt"\nthreads = -3\n')
    assert sew("classify", audio / "b.wav", "-m", classifier).code == 0


def test_pyproject_of_others_is_left_alone(sew: Sew, project: Path) -> None:
    for content in (
        "[tool.other]\nkey = 1\n",
        "not toml at all",
        "tool = 1 # of sew",
        "sew = not toml",
        NESTED,
    ):
        (project / "pyproject.toml").write_text(content)
        assert facts(shown(sew)["stride"]) == (1.0, "default", None)


def test_nesting_without_an_end_is_bad_toml(sew: Sew, project: Path, user_directory: Path) -> None:
    (project / "sew.toml").write_text(NESTED)
    result = sew("config", "show")
    assert (result.code, "sew.toml: is not valid TOML" in result.err) == (2, True)
    (project / "sew.toml").unlink()
    user_directory.mkdir(parents=True, exist_ok=True)
    (user_directory / "models.toml").write_text(NESTED)
    result = sew("models", "list")
    assert (result.code, "models.toml" in result.err, "is not valid TOML" in result.err) == (5, True, True)


@pytest.mark.parametrize("content", ["[tool]\nsew.stride = 2.0\n", "tool = {sew = {stride = 2.0}}\n"])
def test_table_of_sew_is_found_in_every_spelling_of_toml(sew: Sew, project: Path, content: str) -> None:
    (project / "pyproject.toml").write_text(content)
    assert facts(shown(sew)["stride"])[:2] == (2.0, "project")
    (project / "pyproject.toml").write_text("[tool]\nsew = 3\n")
    result = sew("config", "show")
    assert (result.code, "tool.sew is not a table" in result.err) == (2, True)


def test_mark_that_some_editors_put_before_a_file_is_passed_over(
    sew: Sew, project: Path, user_directory: Path, ctc: Path
) -> None:
    (project / "sew.toml").write_text("stride = 2.0\n", encoding="utf-8-sig")
    assert facts(shown(sew)["stride"])[:2] == (2.0, "project")
    user_directory.mkdir(parents=True, exist_ok=True)
    own = user_directory / "models.toml"
    own.write_text(f"[models.mine]\npath = {json.dumps(str(ctc))}\n", encoding="utf-8-sig")
    assert sew("models", "path", "mine").lines == [str(ctc)]
    assert sew("models", "add", "other", ctc).code == 0
    assert sew("models", "path", "mine").code == sew("models", "path", "other").code == 0


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


def test_bad_file_keeps_nobody_from_the_help(sew: Sew, project: Path) -> None:
    (project / "sew.toml").write_text("chnk = 3")
    assert sew("transcribe", "--help").code == 0
    shown = sew("config", "show")
    assert (shown.code, shown.out) == (2, b"")
    assert "did you mean chunk" in shown.err


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


def test_a_working_directory_that_may_not_be_entered_has_no_settings(
    sew: Sew, audio: Path, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a service is started from another user's HOME."""
    real = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        if str(path) in ("sew.toml", "config.toml", "pyproject.toml"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, **options)

    monkeypatch.chdir(tmp_path)
    Path("sew.toml").write_text('device = "tpu"\n')
    assert sew("transcribe", audio / "b.wav", "-m", ctc).code == 2
    monkeypatch.setattr(Path, "stat", stat)
    assert sew("transcribe", audio / "b.wav", "-m", ctc).code == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_named_as_the_settings_is_refused_and_not_waited_for(
    sew: Sew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("sew.toml")
    result = sew("transcribe", "a.wav")
    assert result.code == 2
    assert "sew.toml: cannot be read: it is a pipe" in result.err


def test_a_home_that_may_not_be_entered_has_no_settings(
    sew: Sew, audio: Path, ctc: Path, user_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a service that runs with the HOME of another user; the root of test machines may enter all."""
    real = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        if path.is_relative_to(user_directory):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, **options)

    (user_directory / "config.toml").parent.mkdir(parents=True, exist_ok=True)
    (user_directory / "config.toml").write_text('device = "tpu"\n')
    (user_directory / "models.toml").write_text("no TOML")
    assert sew("transcribe", audio / "b.wav", "-m", ctc).code == 5
    monkeypatch.setattr(Path, "stat", stat)
    assert sew("transcribe", audio / "b.wav", "-m", ctc).code == 0
    assert sew("models", "list").code == 0

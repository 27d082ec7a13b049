"""Files of settings: those that are bad, belong to others, or cannot be read."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import Sew
from settings_shown import facts, shown, write_user

NESTED = "sew = " + "[" * 100_000


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


def test_bad_file_keeps_nobody_from_the_help(sew: Sew, project: Path) -> None:
    (project / "sew.toml").write_text("chnk = 3")
    assert sew("transcribe", "--help").code == 0
    shown = sew("config", "show")
    assert (shown.code, shown.out) == (2, b"")
    assert "did you mean chunk" in shown.err


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

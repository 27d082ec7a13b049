"""The user's models.toml over the packaged one, and the commands of `sew models` that change it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Sew
from filelock import FileLock
from helpers import COMMIT, in_cache, write_own
from trainings import EXAMPLES

from sewcli.cli.commands import user_models
from sewcli.registry import load_registry


def listed(sew: Sew) -> dict[str, dict[str, object]]:
    return {record["alias"]: record for record in sew("models", "list", "-f", "json").records}


def test_alias_that_is_added_works_until_it_is_removed(
    sew: Sew, user_directory: Path, ctc: Path, audio: Path
) -> None:
    own = write_own(user_directory, "# my models\n")
    added = sew("models", "add", "mine", ctc, "--language", "en")
    assert (added.code, added.out) == (0, b"")
    assert str(own) in added.err
    record = listed(sew)["mine"]
    assert (record["task"], record["family"], record["language"]) == ("ctc", "sew", "en")
    assert (record["source"], record["shadows"], record["where"]) == ("user", False, "local")
    assert sew("models", "path", "mine").lines == [str(ctc)]
    result = sew("transcribe", "-m", "mine", audio / "b.wav", "-f", "json")
    assert result.records[0]["model"]["id"] == "mine"

    again = sew("models", "add", "mine", ctc)
    assert again.code == 2
    assert "--overwrite" in again.err
    assert sew("models", "add", "mine", ctc, "--overwrite").code == 0
    assert own.read_text().startswith("# my models\n")

    assert sew("models", "remove", "mine").code == 0
    assert "mine" not in listed(sew)
    assert sew("models", "remove", "mine").code == 5


def at_once(*commands: tuple[str, ...]) -> list[int]:
    """The exit codes of `sew models` with each of these, all running at once."""
    start = [sys.executable, "-m", "sewcli", "models"]
    running = [subprocess.Popen([*start, *command], stderr=subprocess.DEVNULL) for command in commands]
    return [process.wait() for process in running]


def test_aliases_added_at_once_are_all_kept(sew: Sew, user_directory: Path, ctc: Path) -> None:
    names = [f"mine{number}" for number in range(8)]
    assert at_once(*(("add", name, str(ctc)) for name in names)) == [0] * 8
    assert set(names) <= set(listed(sew))


def test_one_of_several_that_change_an_alias_at_once_has_its_way(
    sew: Sew, user_directory: Path, ctc: Path
) -> None:
    assert sorted(at_once(*(("add", "mine", str(ctc)),) * 4)) == [0, 2, 2, 2]
    assert sorted(at_once(*(("remove", "mine"),) * 4)) == [0, 5, 5, 5]


def test_file_is_not_changed_where_that_would_give_its_keys_to_another_table(
    sew: Sew, user_directory: Path, ctc: Path
) -> None:
    text = f'models.a.path = "{ctc}"\ndefaults.ctc = "nano-d"\n'
    own = write_own(user_directory, text)
    result = sew("models", "add", "q", ctc)
    assert (result.code, "nothing was changed" in result.err) == (2, True)
    assert own.read_text() == text
    assert sew("models", "path", "a").code == 0


def test_lock_that_cannot_be_had_and_a_link_are_not_in_the_way(
    sew: Sew, user_directory: Path, ctc: Path, tmp_path: Path
) -> None:
    (user_directory / ".models.toml.lock").mkdir(parents=True)
    elsewhere = tmp_path / "kept.toml"
    elsewhere.write_text("# kept elsewhere\n")
    (user_directory / "models.toml").symlink_to(elsewhere)
    assert sew("models", "add", "mine", ctc).code == 0
    assert (user_directory / "models.toml").is_symlink()
    assert elsewhere.read_text().startswith("# kept elsewhere\n\n[models.mine]\n")


def test_file_that_another_process_writes_is_named(
    sew: Sew, user_directory: Path, ctc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_models, "_PATIENCE", 0.1)
    user_directory.mkdir(parents=True, exist_ok=True)
    with FileLock(user_directory / ".models.toml.lock"):
        result = sew("models", "add", "mine", ctc)
    assert result.code == 1
    assert f"another process is changing {user_directory / 'models.toml'}" in result.err
    assert "mine" not in listed(sew)


def test_alias_of_an_alias_is_used_as_that_one_is(sew: Sew, user_directory: Path) -> None:
    assert sew("models", "add", "mine", "nano").code == 0
    first, own = (load_registry().models[name] for name in ("nano", "mine"))
    assert first.defaults.chunk is not None
    assert first.end_offset or first.start_offset
    for clip in ("speech/brisk-wind.opus", "speech/waterfowl.opus"):
        of_nano, of_mine = (
            sew("transcribe", EXAMPLES / clip, "-m", name, "-f", "json").records[0]
            for name in ("nano", "mine")
        )
        assert of_mine["text"] == of_nano["text"] != ""
        assert of_mine["words"] == of_nano["words"]
    given = 'start_offset = 0.02\nchunk = 4\nstride = 0.4\ndecoder = "beam"\nbeam_width = 7\n'
    given += "alpha = 0.25\nbeta = 0\n"
    write_own(user_directory, f'[models.first]\npath = "{own.path}"\ntask = "ctc"\n{given}')
    assert sew("models", "add", "second", "first").code == 0
    models = load_registry().models
    assert models["second"].defaults == models["first"].defaults
    # what the entry of its directory does not say, the directory does
    assert (models["second"].start_offset, models["second"].end_offset) == (0.02, first.end_offset)


@pytest.mark.parametrize("text", ["two\tcells", "two\nlines", "two\u2028lines", "a bell\x07"])
def test_texts_of_an_alias_are_one_line(sew: Sew, user_directory: Path, ctc: Path, text: str) -> None:
    refused = sew("models", "add", "mine", ctc, "--description", text)
    assert refused.code == 2
    assert "[models.mine]: description has to be one line without tabs" in refused.err
    assert len(refused.messages) == 1
    assert "mine" not in listed(sew)
    write_own(user_directory, f'[models.mine]\npath = "{ctc}"\nlanguage = {json.dumps(text)}\n')
    assert "language has to be one line" in sew("models", "list").err


def test_alias_that_shadows_says_so(sew: Sew, ctc: Path, audio: Path) -> None:
    packaged = listed(sew)["nano"]
    added = sew("models", "add", "nano", ctc)
    assert "takes the place of the packaged" in added.err
    assert listed(sew)["nano"]["shadows"] is True
    [row] = [line for line in sew("models", "list").lines if line.startswith("nano\t")]
    assert "in place of the packaged nano" in row
    result = sew("transcribe", audio / "b.wav", "-m", "nano")
    assert result.code == 0
    assert result.err.count("not the packaged one") == 1
    assert "packaged" not in sew("transcribe", audio / "b.wav", "-m", "nano", "-q").err

    assert "is back" in sew("models", "remove", "nano").err
    assert listed(sew)["nano"] == packaged
    refused = sew("models", "remove", "nano")
    assert refused.code == 2
    assert "comes with the package" in refused.err


def test_default_of_a_task(sew: Sew, user_directory: Path, ctc: Path, audio: Path) -> None:
    assert "ctc\tnano" in sew("models", "default").lines
    sew("models", "add", "mine", ctc)
    assert sew("models", "default", "mine").code == 0
    assert "ctc\tmine" in sew("models", "default").lines
    assert sew("transcribe", audio / "b.wav", "-f", "json").records[0]["model"]["id"] == "mine"
    assert "the default for ctc is nano again" in sew("models", "remove", "mine").err
    assert "ctc\tnano" in sew("models", "default").lines
    assert "defaults" not in (user_directory / "models.toml").read_text()

    sew("models", "add", "far", "someone/sew-far")
    for arguments, part in (
        (("nano", "--task", "classification"), "a model for ctc"),
        (("far", "--task", "ctc"), "task is missing in [models.far]"),
        (("nano", "--task", "asr"), "asr"),
        ((str(ctc),), "no alias"),
    ):
        result = sew("models", "default", *arguments)
        assert result.code == 2
        assert part in result.err
    assert "ctc\tnano" in sew("models", "default").lines


def test_alias_of_another_task_cannot_take_a_default(
    sew: Sew, user_directory: Path, classifier: Path
) -> None:
    result = sew("models", "add", "nano", classifier)
    assert result.code == 2
    assert "default model for ctc" in result.err
    assert not (user_directory / "models.toml").exists()


def test_path_of_a_users_file_is_relative_to_it(user_directory: Path) -> None:
    write_own(user_directory, '[models.near]\npath = "near"\n')
    spec = load_registry().models["near"]
    assert (spec.path, spec.embedded, spec.task) == (user_directory / "near", False, None)


def test_bad_file_of_the_user_is_named(sew: Sew, user_directory: Path) -> None:
    own = write_own(user_directory, '[models.a]\npath = "x"\ncolour = "red"\n')
    for command in (("list",), ("add", "b", "nano"), ("default",)):
        result = sew("models", *command)
        assert result.code in (2, 5)
        assert str(own) in result.err
        assert "colour" in result.err
    own.write_text("[models")
    assert "not valid TOML" in sew("models", "list").err


def test_hub_model_in_the_cache_is_pinned_by_its_alias(
    sew: Sew, ctc: Path, tmp_path: Path, audio: Path
) -> None:
    snapshot = in_cache(ctc, tmp_path / "empty-hub-cache")
    assert sew("models", "add", "mine", "owner/name").code == 0
    record = listed(sew)["mine"]
    assert (record["revision"], record["where"], record["task"]) == (COMMIT, "cached", "ctc")
    assert sew("models", "pull", "mine", "nano").lines[0] == str(snapshot)
    assert sew("transcribe", "-m", "mine", "--offline", audio / "b.wav").code == 0

"""Names to specifications: the packaged models.toml, the order of look-up, and what a bad file says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import sewcli
from sewcli.errors import EXIT_MODEL, ModelError, UsageError
from sewcli.registry import Registry, find_models_toml, load_registry, resolve

CTC = {
    "sew-tiny": "asapp/sew-tiny-100k-ft-ls100h",
    "sew-d-tiny": "asapp/sew-d-tiny-100k-ft-ls100h",
    "sew-d-mid": "asapp/sew-d-mid-400k-ft-ls100h",
    "sew-d-mid-k127": "asapp/sew-d-mid-k127-400k-ft-ls100h",
    "sew-d-base-plus": "asapp/sew-d-base-plus-400k-ft-ls100h",
}
KEYWORDS = {
    "sew-mid-keywords": "anton-l/sew-mid-100k-ft-keyword-spotting",
    "sew-d-mid-keywords": "anton-l/sew-d-mid-400k-ft-keyword-spotting",
}
ENCODERS = {
    "sew-tiny-100k": "asapp/sew-tiny-100k",
    "sew-small-100k": "asapp/sew-small-100k",
    "sew-mid-100k": "asapp/sew-mid-100k",
    "sew-d-tiny-100k": "asapp/sew-d-tiny-100k",
    "sew-d-small-100k": "asapp/sew-d-small-100k",
    "sew-d-mid-100k": "asapp/sew-d-mid-100k",
    "sew-d-mid-k127-100k": "asapp/sew-d-mid-k127-100k",
    "sew-d-base-100k": "asapp/sew-d-base-100k",
    "sew-d-base-plus-100k": "asapp/sew-d-base-plus-100k",
    "sew-d-mid-400k": "asapp/sew-d-mid-400k",
    "sew-d-mid-k127-400k": "asapp/sew-d-mid-k127-400k",
    "sew-d-base-plus-400k": "asapp/sew-d-base-plus-400k",
}
EMBEDDED = {"nano": "ctc", "nano-d": "ctc", "nano-keywords": "classification"}

ENTRY = """
[models.one]
repo = "owner/one"
revision = "main"
family = "sew"
task = "ctc"
language = "en"
licence = "MIT"
description = "a model"
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.mark.parametrize(
    ("task", "repos"), [("ctc", CTC), ("classification", KEYWORDS), ("features", ENCODERS)]
)
def test_every_public_checkpoint_has_its_alias(registry: Registry, task: str, repos: dict[str, str]) -> None:
    found = {alias: spec.repo for alias, spec in registry.models.items() if spec.task == task and spec.repo}
    assert found == repos


def test_family_follows_from_the_name(registry: Registry) -> None:
    for alias, spec in registry.models.items():
        assert spec.family == ("sew-d" if alias.startswith(("sew-d-", "nano-d")) else "sew"), alias


def test_embedded_models_lie_in_the_package(registry: Registry) -> None:
    embedded = {alias: spec.task for alias, spec in registry.models.items() if spec.embedded}
    assert embedded == EMBEDDED
    path = registry.models["nano"].path
    assert path == Path(sewcli.__file__).parent / "models" / "nano"
    assert registry.models["nano"].revision is None


def test_hub_sizes_are_those_of_float32_weights(registry: Registry) -> None:
    for alias, spec in registry.models.items():
        if spec.repo is not None:
            assert spec.parameters is not None, alias
            assert spec.size_mb == pytest.approx(4 * spec.parameters, abs=1), alias


def test_defaults_of_the_tasks(registry: Registry) -> None:
    assert registry.default_model("ctc").alias == "nano"
    assert registry.default_model("classification").alias == "nano-keywords"
    assert registry.default_model("features").alias == "nano"
    assert registry.default_tasks(registry.models["nano"]) == ["ctc", "features"]
    assert registry.default_tasks(resolve("asapp/sew-tiny-100k", registry=registry)) == []
    with pytest.raises(ModelError, match="translation"):
        registry.default_model("translation")


def test_alias_wins_over_a_directory_of_the_same_name(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nano").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("nano", registry=registry).alias == "nano"
    assert resolve("./nano", registry=registry).path == Path("nano")


def test_directory_wins_over_a_hub_identifier(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve("owner/name", registry=registry).repo == "owner/name"
    (tmp_path / "owner" / "name").mkdir(parents=True)
    local = resolve("owner/name", registry=registry)
    assert local.repo is None
    assert local.path == Path("owner/name")
    assert not local.embedded


def test_home_directory_is_expanded(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert resolve("~/mine", registry=registry).path == tmp_path / "mine"


def test_repository_named_in_full_keeps_the_facts_but_not_the_pin(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(ENTRY.replace('"main"', f'"{"a" * 40}"'))
    registry = load_registry(file)
    assert resolve("one", registry=registry).revision == "a" * 40
    spec = resolve("owner/one", registry=registry)
    assert (spec.alias, spec.task, spec.revision) == (None, "ctc", "main")


def test_revision_replaces_that_of_a_hub_model_only(registry: Registry, tmp_path: Path) -> None:
    assert resolve("sew-tiny", registry=registry, revision="v2").revision == "v2"
    assert resolve("owner/name", registry=registry, revision="v2").revision == "v2"
    for local in ("nano", str(tmp_path)):
        with pytest.raises(UsageError, match="no revision"):
            resolve(local, registry=registry, revision="v2")


@pytest.mark.parametrize("name", ["./gone", "/gone", "~/gone/x", "gone/", "a/b/c", "~nobody-of-that-name/x"])
def test_missing_path_is_called_a_missing_directory(registry: Registry, name: str) -> None:
    with pytest.raises(ModelError, match="no such directory") as caught:
        resolve(name, registry=registry)
    assert caught.value.code == "unknown_model"
    assert caught.value.exit_code == EXIT_MODEL


@pytest.mark.parametrize("name", ["", "no thing", "a\0b", "x" * 5000, "owner/na me", "owner/a--b", "-x/y"])
def test_impossible_name_is_an_unknown_model(registry: Registry, name: str) -> None:
    with pytest.raises(ModelError, match="unknown model") as caught:
        resolve(name, registry=registry)
    assert "sew models list" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("typed", "meant"), [("sew-tny", "sew-tiny"), ("NANO", "nano"), ("sewdmid", "sew-d-mid")]
)
def test_misspelled_alias_is_answered_with_the_right_one(registry: Registry, typed: str, meant: str) -> None:
    with pytest.raises(ModelError) as caught:
        resolve(typed, registry=registry)
    suggestions = caught.value.message.partition("did you mean ")[2].rstrip("?").split(" or ")
    assert meant in suggestions
    assert caught.value.code == "unknown_model"


def test_file_is_no_model(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(ModelError, match="is a file"):
        resolve(str(file), registry=registry)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[models", "not valid TOML"),
        ("[models.a]\n[models.a]\n", "not valid TOML"),
        ("[extra]\n", "'extra'"),
        ("models = 3\n", "models is not a table"),
        (ENTRY + 'colour = "red"\n', r"models\.one.*'colour'"),
        (ENTRY.replace('"sew"', '"bert"'), r"models\.one.*family.*'bert'"),
        (ENTRY.replace('"ctc"', '"asr"'), r"models\.one.*task.*'asr'"),
        (ENTRY.replace("owner/one", "one"), r"models\.one.*'one'"),
        (ENTRY + 'path = "x"\n', r"models\.one.*exactly one"),
        (ENTRY.replace('repo = "owner/one"\n', ""), r"models\.one.*exactly one"),
        (ENTRY.replace('revision = "main"\n', ""), r"models\.one.*revision is missing"),
        (ENTRY.replace('repo = "owner/one"', 'path = "x"'), r"models\.one.*no revision"),
        (ENTRY.replace('"a model"', "7"), r"models\.one.*description"),
        (ENTRY + "parameters = -1\n", r"models\.one.*parameters"),
        (ENTRY + "size_mb = true\n", r"models\.one.*size_mb"),
        (ENTRY + '[models."a/b"]\n', "'a/b'"),
        (ENTRY + '[defaults]\nctc = "two"\n', "'two'"),
        (ENTRY + '[defaults]\nasr = "one"\n', "'asr'"),
        (ENTRY + '[defaults]\nclassification = "one"\n', "'one', a model for ctc"),
    ],
)
def test_bad_file_is_named_with_the_place(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "models.toml"
    file.write_text(content)
    with pytest.raises(ModelError, match=problem) as caught:
        load_registry(file)
    assert str(file) in caught.value.message
    assert caught.value.code == "bad_registry"


def test_unreadable_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_registry(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(ModelError, match="not valid TOML"):
        load_registry(tmp_path / "latin.toml")


def test_absolute_path_is_local_not_embedded(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    entry = ENTRY.replace('repo = "owner/one"', f'path = "{tmp_path}"').replace('revision = "main"\n', "")
    file.write_text(entry + '[defaults]\nfeatures = "one"\n')
    registry = load_registry(file)
    spec = registry.default_model("features")
    assert (spec.path, spec.embedded) == (tmp_path, False)


def test_wheel_finds_the_file_inside_a_checkout_beside(tmp_path: Path) -> None:
    package = tmp_path / "sewcli"
    package.mkdir()
    with pytest.raises(ModelError, match="missing from this installation"):
        find_models_toml(package)
    source = find_models_toml()
    shutil.copy(source, tmp_path / "models.toml")
    assert find_models_toml(package) == tmp_path / "models.toml"
    shutil.copy(source, package / "models.toml")
    assert find_models_toml(package) == package / "models.toml"

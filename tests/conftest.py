"""Models, recordings and the command `sew` run inside the test process."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import soundfile
from fake_hub import Client, FakeHub, serving
from helpers import Outcome, babble, tiny_model, write_babble
from trainings import RECIPE

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel

# on a busy machine examples take long: no test is one of a time
hypothesis.settings.register_profile(
    "any pace", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any pace")

Sew = Callable[..., Outcome]
#: settings that `make test-matrix` runs the commands with
MATRIX = {
    name: os.environ[f"TEST_SEW_{name}"]
    for name in ("ENGINE", "DTYPE", "THREADS", "DEVICE")
    if os.environ.get(f"TEST_SEW_{name}")
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the settings of the matrix do not reach, skip what does not hold for them."""
    import torch

    if MATRIX:
        idle = [item for item in items if "sew" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]
    has_card = torch.cuda.is_available()
    for item in items:
        if not has_card and item.get_closest_marker("card"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
        precise = item.get_closest_marker("float32")
        engines = precise.args if precise and precise.args else ("fast", "reference")
        if (
            precise
            and MATRIX.get("DTYPE", "float32") != "float32"
            and MATRIX.get("ENGINE", "fast") in engines
        ):
            item.add_marker(pytest.mark.skip(reason="holds in full precision only"))
        if MATRIX.get("DTYPE") == "int8" and item.get_closest_marker("transformers"):
            item.add_marker(pytest.mark.skip(reason="transformers has no int8"))
        if {"ENGINE", "DTYPE", "DEVICE"} & MATRIX.keys() and item.get_closest_marker("defaults"):
            item.add_marker(pytest.mark.skip(reason="holds for the defaults only"))


@pytest.fixture(scope="session", autouse=True)
def libraries() -> None:
    """Import what most tests need and search it for no garbage: each training does, a third of its time."""
    import accelerate  # noqa: F401
    from transformers import SEWDForCTC, SEWForCTC  # noqa: F401

    gc.freeze()


@pytest.fixture(autouse=True)
def user_directory(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's configuration directory, empty: that of whoever runs the tests has no part in them."""
    from sewcli import settings

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("user")))
    return settings.user_directory()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sew(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Iterator[Sew]:
    """Run `sew` with arguments and give its exit code and what it wrote.

    It is called through its entry point, so errors become messages and exit codes as they do for a
    user. The settings of the environment are those of the test alone, and what a run changes in the
    process is put back.
    """
    for name in os.environ:
        if name.startswith("SEW_"):
            monkeypatch.delenv(name)
    for name, chosen in MATRIX.items():
        monkeypatch.setenv(f"SEW_{name}", chosen)
    # --offline sets them for the rest of the process
    monkeypatch.setenv("SEW_OFFLINE", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty-hub-cache"))
    logger = logging.getLogger("sewcli")
    before = logger.handlers, logger.propagate, logger.level

    def run(*arguments: str | Path, stdin: bytes | io.TextIOBase = b"") -> Outcome:
        from sewcli.cli.app import main

        stream = io.TextIOWrapper(io.BytesIO(stdin)) if isinstance(stdin, bytes) else stdin
        monkeypatch.setattr(sys, "stdin", stream)
        monkeypatch.setattr(sys, "argv", ["sew", *map(str, arguments)])
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsysbinary.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, out, err.decode("utf-8", "surrogateescape"))

    yield run
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Put torch's number of threads back after the test."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models of the session lie.

    Networks this small lose time to a second thread.
    """
    import torch

    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def ctc(models: Path) -> Path:
    """A SEW model that writes letters and words."""
    return tiny_model(models / "ctc", "sew", "ctc")


@pytest.fixture(scope="session")
def ctc_d(models: Path) -> Path:
    """A SEW-D model that writes letters and words."""
    return tiny_model(models / "ctc-d", "sew-d", "ctc")


@pytest.fixture(scope="session")
def classifier(models: Path) -> Path:
    """A SEW model with four labels."""
    return tiny_model(models / "classifier", "sew", "classification")


@pytest.fixture(scope="session")
def classifier_d(models: Path) -> Path:
    """A SEW-D model with four labels."""
    return tiny_model(models / "classifier-d", "sew-d", "classification")


@pytest.fixture(scope="session")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings: a.wav of 3 s, b.wav of 1.3 s, sub/c.d.flac of 2.2 s."""
    folder = tmp_path_factory.mktemp("audio")
    write_babble(folder / "a.wav", 3.0, seed=1)
    write_babble(folder / "b.wav", 1.3, seed=2)
    write_babble(folder / "sub" / "c.d.flac", 2.2, seed=3)
    return folder


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """long.wav of 12.3 s, with two seconds of silence in it."""
    samples = babble(12.3, seed=5)
    samples[5 * 16000 : 7 * 16000] = 0
    soundfile.write(tmp_path / "long.wav", samples, 16000, subtype="FLOAT")
    return tmp_path / "long.wav"


@pytest.fixture(scope="session")
def small(ctc: Path) -> RunningModel:
    """A SEW model on the CPU that takes a tenth of the time of nano."""
    from sewcli.acoustic.load import load_model
    from sewcli.hub.fetching import fetch
    from sewcli.registry import resolve

    return load_model(fetch(resolve(str(ctc))), "ctc", device="cpu")


@pytest.fixture
def one_lane(small: RunningModel, monkeypatch: pytest.MonkeyPatch) -> RunningModel:
    """It without lanes, as on a GPU."""
    from sewcli.acoustic.budget import Room
    from sewcli.acoustic.engine.fast import FastModel

    monkeypatch.setattr(FastModel, "lanes", 1)
    small.room = Room()  # what a batch that did not fit leaves behind
    return small


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """A recipe of a very small training on the examples."""
    file = tmp_path / "tiny.toml"
    file.write_text(RECIPE)
    return file


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture of a training, as without matplotlib: a small one takes as long to draw as to run."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


@pytest.fixture
def manifest(audio, tmp_path):
    """Three recordings in two sets."""
    rows = [("a.wav", "HELLO WORLD", "x"), ("b.wav", "GOOD", "y"), ("sub/c.d.flac", "SEE YOU", "x")]
    file = tmp_path / "m.jsonl"
    file.write_text(
        "\n".join(
            json.dumps({"audio_filepath": str(audio / path), "text": text, "set": part})
            for path, text, part in rows
        )
    )
    return file


@pytest.fixture
def labelled(audio, tmp_path):
    """Three clips with labels."""
    file = tmp_path / "labels.jsonl"
    rows = [("a.wav", "yes"), ("b.wav", "no"), ("sub/c.d.flac", "yes")]
    file.write_text(
        "\n".join(json.dumps({"audio_filepath": str(audio / path), "label": label}) for path, label in rows)
    )
    return file


@pytest.fixture
def without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.fixture
def server() -> Iterator[FakeHub]:
    state = FakeHub()
    with serving(state):
        yield state


@pytest.fixture
def client(tmp_path: Path, server: FakeHub) -> Client:
    return Client(tmp_path / "home", server.url)


@pytest.fixture
def unplugged(tmp_path: Path) -> Client:
    """A machine whose hub answers on no port (9, discard, is refused)."""
    return Client(tmp_path / "home", "http://127.0.0.1:9")

"""The wheel carries models.toml and the embedded models, and works where there is no checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return next(directory.glob("*.whl"))


def test_the_wheel_holds_models_and_licences(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {"sewcli/models.toml", "sewcli/py.typed", "sewcli/schemas/transcribe.json"} <= names
    for model in ("nano", "nano-d", "nano-keywords"):
        for file in ("config.json", "model.safetensors", "preprocessor_config.json", "README.md"):
            assert f"sewcli/models/{model}/{file}" in names
    assert "License-Expression: Apache-2.0 AND CC-BY-SA-4.0" in metadata
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "runs/")) for name in names)


def test_the_installed_wheel_transcribes_from_another_directory(wheel, tmp_path):
    """A new environment; the libraries come from the one that runs the tests, sewcli does not."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True)
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    own = subprocess.run([sys.executable, *where[1:]], check=True, capture_output=True, text=True)
    # a .pth line appends the libraries; the installed sewcli comes first, an editable one is not followed
    (site / "libraries.pth").write_text(own.stdout)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    clip = ROOT / "examples/speech/david-and-the-cat.opus"
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    found = subprocess.run(
        [python, "-c", "import sewcli; print(sewcli.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env=variables,
    )
    assert str(environment.resolve()) in str(Path(found.stdout.strip()).resolve())
    done = subprocess.run(
        [environment / "bin" / "sew", "transcribe", "--offline", clip],
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env=variables,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()

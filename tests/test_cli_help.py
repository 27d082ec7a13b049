"""The help: complete, with the exit codes, and printed without loading anything heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from sewcli import __version__

HEAVY = (
    "huggingface_hub",
    "kenlm",
    "librosa",
    "numpy",
    "pyctcdecode",
    "safetensors",
    "soundfile",
    "soxr",
    "torch",
    "transformers",
)
COMMANDS = (
    *("", "transcribe", "align", "classify", "embed", "evaluate", "train"),
    *("models", "models list", "models show", "config show", "lm build", "decode", "tune-lm"),
)
SCRIPT = """
import json, sys
from typer.testing import CliRunner
from sewcli.cli.app import app

runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"})
results = {name: runner.invoke(app, [*name.split(), "--help"]) for name in sys.argv[1:]}
answer = {name: [result.exit_code, result.stdout, result.stderr] for name, result in results.items()}
print(json.dumps({"answer": answer, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def helped() -> Any:
    """The help of every command, printed in one fresh process, and the modules it imported."""
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, *COMMANDS], capture_output=True, check=True, timeout=120
    )
    return json.loads(process.stdout)


def test_help_loads_nothing_heavy(helped: Any) -> None:
    loaded = {name.split(".")[0] for name in helped["modules"]}
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_on_standard_output(helped: Any, command: str) -> None:
    code, out, err = helped["answer"][command]
    assert (code, err) == (0, "")
    assert f"{command} [OPTIONS]" in out


@pytest.mark.parametrize("command", ["", "transcribe", "classify", "train"])
def test_help_tells_the_exit_codes(helped: Any, command: str) -> None:
    out = " ".join(helped["answer"][command][1].split())
    for code, meaning in (
        (0, "every input done"),
        (1, "unexpected error"),
        (2, "wrong usage"),
        (3, "some inputs failed"),
        (4, "every input failed"),
        (5, "model not available"),
        (6, "device or memory"),
        (130, "interrupted"),
    ):
        assert f"{code} {meaning}" in out


def test_help_of_the_group_names_every_command(helped: Any) -> None:
    out = helped["answer"][""][1]
    assert all(f" {command.split()[0]} " in out for command in COMMANDS if command)


@pytest.mark.parametrize(
    ("command", "exceptions"),
    [
        ("transcribe", {"help"}),
        ("align", {"help"}),
        ("classify", {"help"}),
        ("embed", {"help"}),
        ("evaluate", {"help"}),
        ("tune-lm", {"help"}),
    ],
)
def test_options_have_an_environment_variable_of_their_name(
    helped: Any, command: str, exceptions: set[str]
) -> None:
    out = helped["answer"][command][1]
    names = {word[2:] for word in out.replace(",", " ").split() if word.startswith("--") and len(word) > 2}
    assert {"device", "format", "offline"} < names
    variables = {f"[env var: SEW_{name.upper().replace('-', '_')}]" for name in names - exceptions}
    flat = " ".join(out.replace("│", " ").split())
    assert not {variable for variable in variables if variable not in flat}


def test_version_is_printed_by_the_module_too() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "sewcli", "--version"], capture_output=True, text=True, check=True, timeout=120
    )
    assert process.stdout == f"sew {__version__}\n"
    assert process.stderr == ""

"""The help: complete, with the exit codes, and printed without loading anything heavy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import Sew

from sewcli import __version__
from sewcli.cli.app import app
from sewcli.cli.parser import COMMANDS as COMMANDS_OF_SEW
from sewcli.writers import Kind, formats_for

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


def test_the_help_of_sew_imports_no_command_and_no_rich() -> None:
    script = "import sys; from sewcli.cli.app import main\ntry: main()\nfinally: print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, check=True, text=True, timeout=120
    )
    loaded = process.stdout.splitlines()[-1].split()
    assert "sewcli.cli.parser" in loaded
    assert not [name for name in loaded if name.removeprefix("sewcli.cli.commands.") in COMMANDS_OF_SEW]
    assert not [name for name in loaded if name.split(".")[0] in ("rich", "filelock", *HEAVY)]


@pytest.mark.parametrize("name", COMMANDS_OF_SEW)
def test_the_line_of_a_command_is_the_beginning_of_its_own_help(name: str) -> None:
    root = typer.main.get_command(app)
    command = root.get_command(typer.Context(root), name)
    own = " ".join((command.help or "").split("\n\n")[0].split())
    line = COMMANDS_OF_SEW[name].rstrip(".")
    assert own.startswith(line)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_gives_a_script_and_the_words_it_asks_for(shell: str) -> None:
    def ask(*arguments: str, **variables: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", "from sewcli.cli.app import main; main()", *arguments],
            env={**os.environ, **variables},
            capture_output=True,
            check=True,
            text=True,
            timeout=120,
        ).stdout

    assert "_SEW_COMPLETE" in ask("completion", shell)
    words = {"bash": "complete_bash", "zsh": "complete_zsh", "fish": "complete_fish"}[shell]
    told = {"_SEW_COMPLETE": words, "_TYPER_COMPLETE_ARGS": "sew transcribe --raw", "COMP_CWORD": "2"}
    told |= {"COMP_WORDS": "sew transcribe --raw", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "--raw-rate" in ask(**told)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_models_and_formats(tmp_path: Path) -> None:
    typed = [
        "tr",
        "transcribe --timest",
        "transcribe -m nan",
        "transcribe -f sr",
        "classify -f j",
        "models pu",
    ]
    (tmp_path / "sew").write_text(f'#!/bin/sh\nexec {sys.executable} -m sewcli "$@"\n')
    (tmp_path / "sew").chmod(0o755)
    script = "source <(sew completion bash)\n"
    for line in typed:
        script += f"COMP_WORDS=(sew {line}); COMP_CWORD={len(line.split())}; COMPREPLY=()\n"
        script += '_sew_completion sew; echo "${COMPREPLY[*]}"\n'
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    answers = ["transcribe train", "--timestamps", "nano nano-d nano-keywords", "srt", "json", "pull"]
    assert done.stdout.splitlines() == answers, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_on_standard_output(helped: Any, command: str) -> None:
    code, out, err = helped["answer"][command]
    assert (code, err) == (0, "")
    assert f"{command} [OPTIONS]" in out


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("transcribe", "[INPUT]..."),
        ("evaluate", "[MANIFEST]"),
        ("train", "RECIPE|MANIFEST"),
        ("decode", "LOGITS..."),
        ("lm build", "TEXT..."),
        ("models show", "ALIAS"),
    ],
)
def test_usage_marks_what_may_be_left_out_and_repeated_once(
    helped: Any, command: str, arguments: str
) -> None:
    lines = helped["answer"][command][1].splitlines()
    assert f"Usage: sew {command} [OPTIONS] {arguments}" in lines
    told = lines[lines.index("Arguments:") + 1].split()
    assert told[0] == arguments


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("transcribe", "transcript"),
        ("decode", "transcript"),
        ("align", "alignment"),
        ("classify", "labels"),
        ("embed", "features"),
    ],
)
def test_help_and_refusal_name_the_formats_of_the_command(
    helped: Any, sew: Sew, audio: Path, command: str, kind: Kind
) -> None:
    told = " ".join(helped["answer"][command][1].split()).split("-f, --format FORMAT ")[1].split(";")[0]
    names = set(re.findall(r"\b[a-z_]+\b", told.removesuffix(" for the metadata alone"))) - {"or"}
    assert names == set(formats_for(kind))
    wrong = sew(command, audio / "b.wav", "-f", "docx", *(["--text", "A"] if command == "align" else []))
    assert wrong.code == 2
    assert f"one of {', '.join(formats_for(kind))})" in wrong.err


@pytest.mark.parametrize("command", ["evaluate", "tune-lm"])
def test_tables_are_text_or_json(helped: Any, sew: Sew, manifest: Path, command: str) -> None:
    assert "--format <text|json>" in helped["answer"][command][1]
    wrong = sew(command, manifest, "-f", "srt")
    assert wrong.code == 2
    assert "one of text, json)" in wrong.err


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
    variables = {f"[env var: SEW_{name.upper().replace('-', '_')}" for name in names - exceptions}
    flat = " ".join(out.split()).replace("; ", "] ")
    assert not {variable for variable in variables if f"{variable}]" not in flat}


def test_version_is_printed_by_the_module_too() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "sewcli", "--version"], capture_output=True, text=True, check=True, timeout=120
    )
    assert process.stdout == f"sew {__version__}\n"
    assert process.stderr == ""


def test_a_process_searches_for_garbage_seldom_while_it_imports_and_not_at_its_end() -> None:
    """What importing torch makes stays; to search it again and again took a quarter of a short run."""
    script = (
        "import atexit, gc, sys\n"
        "usual = gc.get_threshold()\n"
        "from sewcli.cli import garbage\n"
        "from sewcli.cli.app import command\n"
        "def tell():\n"
        "    print(gc.isenabled(), gc.get_threshold()[0], gc.get_freeze_count() > 1000)\n"
        "    garbage.as_usual()\n"
        "    print(gc.get_threshold() == usual)\n"
        "atexit.register(tell)\n"
        "sys.argv = ['sew', '--version']\n"
        "command()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["True 50000 True", "True"]

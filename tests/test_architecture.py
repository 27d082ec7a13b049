"""The layers that docs/architecture.md tells of: packages and modules import from those below alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import sewcli

PACKAGE = Path(sewcli.__file__).parent
#: from the top; those in a line do not know each other
LAYERS = """
    __main__
    cli
    training
    evaluation doctor
    api bench
    tasks
    spotting
    consumers
    logits pictures writers
    pipeline
    decoding reading
    acoustic audio lm processes
    casing hub inputs locking
    registry
    model_json settings
    models_toml
    json_files model_defaults nearest prefetch results signals temporary toml
    __version__ atomic chunking errors
"""
LEVELS = {name: level for level, line in enumerate(LAYERS.split("\n")) for name in line.split()}
#: what may import torch
WITH_TORCH = {"acoustic", "bench", "doctor", "training"}


def modules() -> Iterator[tuple[str, Path]]:
    """The modules, each with the package or module of the first level that it belongs to."""
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).with_suffix("").parts[0]
        if name != "__init__":  # it knows the version and, when asked, the api
            yield name, file


def imported(file: Path) -> Iterator[str]:
    """Names of modules that a file imports anywhere, for types alone too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "sewcli":
            yield from (f"sewcli.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, file
            yield node.module or ""


def test_every_part_has_a_layer_and_every_layer_is_there() -> None:
    assert {name for name, _ in modules()} | {"__version__"} == LEVELS.keys()


def test_imports_go_down() -> None:
    wrong = [
        f"{file} imports {module}"
        for name, file in modules()
        for module in imported(file)
        if not _may_import(name, module.split("."))
    ]
    assert not wrong


def test_tests_import_no_other_tests() -> None:
    """What several of them need has a module of its own, so that a test can be moved."""
    wrong = [
        f"{file.name} imports {module}"
        for file in sorted(Path(__file__).parent.glob("*.py"))
        for module in imported(file)
        if module.startswith("test_")
    ]
    assert not wrong


def _may_import(name: str, module: list[str]) -> bool:
    if module[0] == "torch":
        return name in WITH_TORCH
    if module[0] != "sewcli" or len(module) == 1:
        return True
    return module[1] == name or LEVELS[module[1]] > LEVELS[name]

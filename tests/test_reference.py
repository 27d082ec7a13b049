"""docs/reference.md and docs/sew.1 are what the commands say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = """
import runpy
page = runpy.run_path("tools/reference.py")
open({0!r}, "w", encoding="utf-8").write(page["markdown"]())
open({1!r}, "w", encoding="utf-8").write(page["manual"]())
"""


@pytest.mark.skipif(not (ROOT / "tools").is_dir(), reason="the repository is not here")
def test_the_pages_are_those_of_the_commands(tmp_path: Path) -> None:
    made = [tmp_path / "reference.md", tmp_path / "sew.1"]
    script = SCRIPT.format(*map(str, made))
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)
    for file in made:
        told = file.read_text(encoding="utf-8")
        assert "--raw-rate" in told.replace("\\-", "-")
        kept = (ROOT / "docs" / file.name).read_text(encoding="utf-8")
        assert told == kept, f"docs/{file.name} is out of date: python tools/reference.py"

"""docs/benchmarks.md against the tool that writes it."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_page_has_what_the_tool_measures():
    tool = runpy.run_path(str(ROOT / "tools/benchmarks.py"))
    page = (ROOT / "docs/benchmarks.md").read_text()
    assert page.startswith(tool["HEAD"])
    commands = [f"sew bench {arguments}" for arguments, _ in tool["MEASUREMENTS"]]
    assert [line for line in page.splitlines() if line.startswith("sew bench")] == commands
    assert page.count("\n## ") == len(commands) + 1

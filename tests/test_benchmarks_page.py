"""docs/benchmarks.md against the tool that writes it."""

import runpy
import shlex
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent


def test_the_page_has_what_the_tool_measures():
    tool = runpy.run_path(str(ROOT / "tools/benchmarks.py"))
    page = (ROOT / "docs/benchmarks.md").read_text()
    assert page.startswith(tool["HEAD"])
    commands = [f"sew bench {arguments}" for arguments, _ in tool["MEASUREMENTS"]]
    assert [line for line in page.splitlines() if line.startswith("sew bench")] == commands
    assert page.count("\n## ") == len(commands) + 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="would measure")
def test_what_a_card_is_measured_by_lacks_nothing_but_the_card(sew):
    tool = runpy.run_path(str(ROOT / "tools/benchmarks.py"))
    for arguments, _ in tool["ON_A_CARD"]:
        done = sew("bench", *shlex.split(arguments), "--device", "cuda")
        assert done.code == 6
        assert "no device cuda" in done.err

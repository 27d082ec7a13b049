"""Commands as a user types them into a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def put_program(place: Path) -> None:
    """Put `sew` of this tree into bin/ of a folder."""
    (place / "bin").mkdir()
    program = place / "bin" / "sew"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sewcli "$@"\n')
    program.chmod(0o755)


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEW_", "HF_"))}
    path = f"{folder / 'bin'}{os.pathsep}{kept['PATH']}"
    env = kept | {"PATH": path, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    shell = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(
        shell, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False, input=""
    )

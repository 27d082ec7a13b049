"""`sew` against a hub that has one repository of pickled weights."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import torch
from fake_hub import FakeHub, Handler

import sewcli

REPO = "asapp/sew-tiny-100k-ft-ls100h"  # of the packaged alias sew-tiny


class Publisher(Handler):
    """The hub with one repository, that of the alias."""

    def do_GET(self) -> None:  # noqa: N802
        self.path = self.path.replace(REPO, "owner/name")
        super().do_GET()


def pickled(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def run(
    hub: FakeHub, home: Path, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`sew` in a process of its own, because huggingface_hub reads its settings at its import."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HF_", "HUGGINGFACE", "TRANSFORMERS_", "SEW_"))
    }
    ours = {"HF_HOME": str(home), "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    ours["PYTHONPATH"] = str(Path(sewcli.__file__).parent.parent)
    command = [sys.executable, "-m", "sewcli", *map(str, arguments)]
    return subprocess.run(
        command, env=kept | ours | variables, capture_output=True, text=True, timeout=120, check=False
    )

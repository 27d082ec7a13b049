"""Runs of a model over the example clips, twice each, in chunks of 2 s."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import soundfile
from helpers import Logits

from sewcli.chunking import ChunkPlan
from sewcli.inputs.source import Source
from sewcli.pipeline.run import Options, run

FOLDER = Path(__file__).parent.parent / "examples" / "speech"
CLIPS = [Source(str(clip), clip) for clip in sorted(FOLDER.iterdir())] * 2
PLAN = ChunkPlan.from_seconds(2.0, 0.2)


def logits(model: Any, **options: Any) -> list[Any]:
    """Path and logits of each."""
    return list(run(CLIPS, model, Logits, Options(PLAN, **options)))


def wav_samples(source: Source) -> int:
    """How long a clip is."""
    return soundfile.info(source.file).frames

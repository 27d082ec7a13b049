"""The object that OpenAI's transcription API answers with `response_format=verbose_json`, one a line."""

from __future__ import annotations

import math
import zlib
from typing import Any

from sewcli.results import Failure, Transcript
from sewcli.writers import jsonl
from sewcli.writers.cues import Cue
from sewcli.writers.layout import Layout, Result, cues_of, words_of

#: the API spells languages out
_LANGUAGES = {"en": "english"}


def write(result: Result, layout: Layout) -> bytes:
    """One line of JSON; a failed input has the error object of the format json."""
    if isinstance(result, Failure):
        return jsonl.write(result, layout)
    assert isinstance(result, Transcript)  # the command offers it for transcripts alone
    content: dict[str, Any] = {"path": result.path, **jsonl.part_of(result)} if layout.with_path else {}
    language = result.model.language
    content |= {
        "task": "transcribe",
        "language": _LANGUAGES.get(language, language) if language else "unknown",
        "duration": result.duration,
        "text": result.text,
        "segments": [_segment(*numbered) for numbered in enumerate(cues_of(result, layout))],
        "words": [{"word": word.text, "start": word.start, "end": word.end} for word in words_of(result)],
    }
    return jsonl.dump(content)


def _segment(number: int, cue: Cue) -> dict[str, Any]:
    """A cue as a segment.

    avg_logprob is the mean over words of the logarithm of their confidence; compression_ratio is Whisper's,
    bytes of the text over bytes deflated. A CTC model has neither text tokens nor a temperature nor a
    probability of no speech: these keys hold what clients read as "nothing known".
    """
    text = cue.text.encode()
    return {
        "id": number,
        "seek": round(cue.start * 100),
        "start": cue.start,
        "end": cue.end,
        "text": cue.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(cue.confidence), 4),
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 4),
        "no_speech_prob": 0.0,
    }

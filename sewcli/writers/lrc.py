"""LRC lyrics: a time and a line a cue."""

from __future__ import annotations

from sewcli.writers.layout import Layout, Result, cues_of


def write(result: Result, layout: Layout) -> bytes:
    """One line a cue, its time as [mm:ss.xx] in hundredths."""
    return "".join(f"[{_clock(cue.start)}]{cue.text}\n" for cue in cues_of(result, layout)).encode()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 100), 6000)
    return f"{minutes:02d}:{rest // 100:02d}.{rest % 100:02d}"

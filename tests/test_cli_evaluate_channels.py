"""Recordings with a speaker a channel, from a manifest to scores and comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import write_babble


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A manifest of both channels of one recording."""
    sides = [soundfile.read(write_babble(tmp_path / f"{seed}.wav", 3.0, seed=seed))[0] for seed in (1, 2)]
    soundfile.write(tmp_path / "call.wav", np.stack(sides, axis=1), 16_000, subtype="FLOAT")
    manifest = tmp_path / "calls.jsonl"
    rows = [
        {"audio_filepath": "call.wav", "channel": channel, "text": text, "set": f"side {channel}"}
        for channel, text in enumerate(("HELLO WORLD", "GOOD"))
    ]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


def test_a_row_may_be_a_channel(sew: Sew, ctc: Path, calls: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.jsonl"
    done = sew("evaluate", calls, "-m", ctc, "-f", "json", "--table", table)
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    assert [line["channel"] for line in lines] == [0, 1]
    apart = sew("transcribe", tmp_path / "call.wav", "-m", ctc, "--channel", "split", "-f", "json")
    assert [line["hypothesis"] for line in lines] == apart.texts
    assert apart.texts[0] != apart.texts[1]
    listed = sew("transcribe", "--files-from", calls, "-m", ctc, "-f", "json")
    assert (listed.texts, [one["channel"] for one in listed.records]) == (apart.texts, [0, 1])
    # what transcribe wrote is scored by channel, in whatever order it lies
    results = tmp_path / "results.jsonl"
    results.write_bytes(b"".join(reversed(apart.out.splitlines(keepends=True))))
    scored = sew("evaluate", calls, "--results", results, "-f", "json")
    assert scored.records[0]["wer"] == done.records[0]["wer"]
    assert {part: one["wer"] for part, one in scored.records[0]["sets"].items()} == {
        part: one["wer"] for part, one in done.records[0]["sets"].items()
    }
    compared = sew("evaluate", "--compare", table, table, "-f", "json").records[0]
    assert (compared["utterances"], compared["difference"]) == (2, 0)


def test_results_of_one_channel_are_for_rows_without(
    sew: Sew, ctc: Path, calls: Path, tmp_path: Path
) -> None:
    call = calls.parent / "call.wav"
    bare = tmp_path / "bare.jsonl"
    bare.write_text(json.dumps({"audio_filepath": "call.wav", "text": "HELLO WORLD"}) + "\n")
    results = tmp_path / "results.jsonl"
    results.write_bytes(sew("transcribe", "--channel", "1", call, "-m", ctc, "-f", "json").out)
    assert sew("evaluate", bare, "--results", results).code == 0
    # beside what could not be opened, which tells no channel
    (calls.parent / "bad.wav").write_text("no audio")
    bad = json.dumps({"audio_filepath": "bad.wav", "text": "GOOD"})
    (calls.parent / "more.jsonl").write_text(bare.read_text() + bad + "\n")
    mono = sew(
        "transcribe",
        "--channel",
        "split",
        call.parent / "1.wav",
        calls.parent / "bad.wav",
        "-m",
        ctc,
        "-f",
        "json",
    )
    results.write_bytes(mono.out.replace(b"1.wav", b"call.wav"))
    done = sew("evaluate", calls.parent / "more.jsonl", "--results", results, "-f", "json")
    assert (done.code, done.records[0]["utterances"], done.records[0]["failed"]) == (3, 1, 1)
    results.write_bytes(sew("transcribe", "--channel", "split", call, "-m", ctc, "-f", "json").out)
    done = sew("evaluate", bare, "--results", results)
    assert done.code != 0
    assert "none of the 1 inputs" in done.err


@pytest.mark.parametrize("channel", ["left", -1, True, 0.5])
def test_a_channel_is_a_number(sew: Sew, ctc: Path, calls: Path, channel: object) -> None:
    calls.write_text(json.dumps({"audio_filepath": "call.wav", "text": "GO", "channel": channel}) + "\n")
    done = sew("evaluate", calls, "-m", ctc)
    assert done.code == 2
    assert f'{calls}:1: not a row of a manifest: "channel" is not a number from 0 up' in done.messages[0]

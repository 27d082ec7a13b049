"""`sew classify --window`: keyword spotting over long audio."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import SPOT, babble, write_babble

import sewcli
from sewcli.audio import read_blocks
from sewcli.errors import AudioError
from sewcli.inputs.raw import RawAudio
from sewcli.inputs.source import Source

EXAMPLES = Path(__file__).parent.parent / "examples" / "keywords"


def spans(records: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    return [(record["label"], record["start"], record["end"]) for record in records]


def test_events_are_those_of_the_windows_classified_one_by_one(
    sew: Sew, classifier: Path, long: Path, tmp_path: Path
) -> None:
    samples, _ = soundfile.read(long, dtype="float32")
    clips = tmp_path / "clips"
    clips.mkdir()
    starts = [*range(0, samples.size - 8000 + 1, 3200), samples.size - 8000]
    for number, start in enumerate(starts):
        soundfile.write(clips / f"{number:03}.wav", samples[start : start + 8000], 16000, subtype="FLOAT")
    found = sew("classify", clips, "-m", classifier, "--top", "4", "-f", "json").records
    expected: dict[str, set[int]] = {}
    for record, start in zip(found, starts, strict=True):
        for entry in record["labels"]:
            silent = not samples[start : start + 8000].any()
            if entry["score"] >= 0.3 and entry["label"][0] != "_" and not silent:
                expected.setdefault(entry["label"], set()).add(start + 4000)
    records = sew("classify", long, "-m", classifier, *SPOT, "-f", "json").records
    assert records
    assert {record["label"] for record in records} == set(expected)
    for label, hits in expected.items():
        own = [record for record in records if record["label"] == label]
        inside = [
            hit
            for record in own
            for hit in sorted(hits)
            if record["start"] - 1e-3 <= (hit / 16000 - 0.1) and (hit / 16000 + 0.1) <= record["end"] + 1e-3
        ]
        assert inside == sorted(hits)


def test_json_text_and_output_directory_hold_the_same_events(
    sew: Sew, classifier: Path, long: Path, tmp_path: Path
) -> None:
    records = sew("classify", long, "-m", classifier, *SPOT, "-f", "json").records
    assert list(records[0]) == ["path", "label", "start", "end", "score"]
    assert {record["path"] for record in records} == {str(long)}
    lines = sew("classify", long, "-m", classifier, *SPOT).lines
    assert lines == [
        f"{one['label']}\t{one['start']:.3f}\t{one['end']:.3f}\t{one['score']:.4f}" for one in records
    ]
    assert sew("classify", long, "-m", classifier, *SPOT, "-H").lines == [f"{long}\t{line}" for line in lines]
    out = tmp_path / "out"
    given = ("classify", long, "-m", classifier, *SPOT, "-o", out, "-f", "json", "-f", "text", "--resume")
    assert (sew(*given).code, sew(*given).code) == (0, 0)
    assert [json.loads(line) for line in (out / "long.json").read_text().splitlines()] == records
    assert (out / "long.txt").read_text().splitlines() == lines


def test_events_do_not_depend_on_batch_container_or_pipe(
    sew: Sew, classifier: Path, long: Path, tmp_path: Path
) -> None:
    given = ("classify", "-m", classifier, *SPOT, "-f", "json")
    expected = spans(sew(*given, long).records)
    assert expected
    assert spans(sew(*given, long, "--batch-seconds", "3").records) == expected
    assert spans(sew(*given, long, "--batch-seconds", "300").records) == expected
    assert spans(sew(*given, "-", stdin=long.read_bytes()).records) == expected
    samples, rate = soundfile.read(long, dtype="float32")
    raw = ("--raw-rate", "16000", "--raw-format")
    assert spans(sew(*given, *raw, "f32le", "-", stdin=samples.tobytes()).records) == expected
    big = samples.astype(">f4").tobytes()  # copied to disk first
    assert spans(sew(*given, *raw, "f32be", "-", stdin=big).records) == expected
    assert sew(*given, *raw, "s16le", "-", stdin=long.read_bytes()).records[0]["error"]["code"] == "raw"
    soundfile.write(tmp_path / "long.flac", samples, rate, subtype="PCM_24")
    flac = sew(*given, "-", stdin=(tmp_path / "long.flac").read_bytes())
    assert [label for label, _, _ in spans(flac.records)] == [label for label, _, _ in expected]


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_wav_from_a_pipe_has_the_samples_that_libsndfile_reads(subtype: str, form: str) -> None:
    sound = np.stack([babble(1.0, 1), babble(1.0, 2)], axis=1)
    held = io.BytesIO()
    soundfile.write(held, sound, 16000, format=form, subtype=subtype)
    expected, _ = soundfile.read(io.BytesIO(held.getvalue()), dtype="float32", always_2d=True)
    for content in (held.getvalue(), open_ended(held.getvalue())):
        blocks = list(read_blocks(Source("-", Path("-")), stdin=io.BytesIO(content), live=True))
        assert len(blocks) > 5
        assert np.array_equal(np.concatenate(blocks), expected.T.mean(axis=0))


@pytest.mark.parametrize(("form", "order"), [("WAV", "BIG"), ("W64", "FILE"), ("AU", "LITTLE")])
def test_a_header_is_never_read_as_raw_samples(form: str, order: str) -> None:
    held = io.BytesIO()
    soundfile.write(held, babble(1.0, 1), 16000, format=form, subtype="PCM_16", endian=order)
    source = Source("-", Path("-"), raw=RawAudio(16000, "s16le", 1))
    for live in (True, False):
        with pytest.raises(AudioError, match="not raw samples"):
            list(read_blocks(source, stdin=io.BytesIO(held.getvalue()), live=live))


def open_ended(wav: bytes) -> bytes:
    """As ffmpeg writes into a pipe: sizes unknown."""
    at = wav.index(b"data")
    assert b"data" not in wav[at + 4 : at + 8]
    return wav[:4] + b"\xff" * 4 + wav[8 : at + 4] + b"\xff" * 4 + wav[at + 8 :]


def test_a_stream_that_breaks_off_is_a_failed_input_after_its_events(
    sew: Sew, classifier: Path, long: Path
) -> None:
    content = long.read_bytes()
    whole = sew("classify", "-m", classifier, *SPOT, "-f", "json", "-", stdin=content).records
    cut = sew("classify", "-m", classifier, *SPOT, "-f", "json", "-", stdin=content[: len(content) * 2 // 3])
    assert cut.code == 4
    *events, failed = cut.records
    assert failed["error"]["code"] == "damaged"
    assert events
    assert events == whole[: len(events)]


def test_events_of_an_endless_stream_come_while_it_lasts() -> None:
    samples, rate = soundfile.read(EXAMPLES / "operator.opus", dtype="int16")
    held = io.BytesIO()
    soundfile.write(held, np.concatenate([samples, np.zeros(3 * rate, np.int16)]), rate, format="WAV")
    # a stream is heard window by window, whatever a batch may hold
    command = [sys.executable, "-m", "sewcli", "classify", "-", "--window", "1", "-f", "json", "--offline"]
    command += ["--batch-seconds", "60"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdin.write(open_ended(held.getvalue()))
    process.stdin.flush()
    too_long = threading.Timer(120, process.kill)
    too_long.start()
    event = json.loads(process.stdout.readline())  # the stream is open still
    too_long.cancel()
    assert process.poll() is None
    assert event["label"] == "operator"
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(60) == 0
    process.stdout.close()


def test_times_are_those_of_the_file_and_channels_are_named(
    sew: Sew, classifier: Path, tmp_path: Path
) -> None:
    stereo = write_babble(tmp_path / "stereo.wav", 6.0, channels=2)
    given = ("classify", stereo, "-m", classifier, *SPOT, "-f", "json")
    split = sew(*given, "--channel", "split").records
    assert {record["channel"] for record in split} == {0, 1}
    one = sew(*given, "--channel", "1").records
    assert one == [record for record in split if record["channel"] == 1]
    part = sew(*given, "--channel", "1", "--start", "2", "--end", "5").records
    assert part
    assert all(record["offset"] == 2.0 for record in part)
    assert not any("offset" in record for record in one)
    sound, rate = soundfile.read(stereo, dtype="int16")
    soundfile.write(tmp_path / "cut.wav", sound[2 * rate : 5 * rate, 1], rate)
    cut = sew("classify", tmp_path / "cut.wav", "-m", classifier, *SPOT, "-f", "json").records
    assert [(label, round(start - 2, 3), round(end - 2, 3)) for label, start, end in spans(part)] == spans(
        cut
    )


def test_gate_labels_and_bad_inputs(sew: Sew, classifier: Path, long: Path) -> None:
    given = ("classify", long, "-m", classifier, *SPOT, "-f", "json")
    everything = sew(*given).records
    assert sew(*given, "--gate", "0").records == []
    label = everything[0]["label"]
    assert sew(*given, "--labels", label).records == [one for one in everything if one["label"] == label]
    failed = sew("classify", "gone.wav", long, "-m", classifier, *SPOT, "-f", "json")
    assert failed.code == 3
    assert failed.records[0]["error"]["code"] == "not_found"
    assert failed.records[1:] == everything
    assert sew("classify", "gone.wav", "-m", classifier, *SPOT).code == 4


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--threshold 0.5", "--window"),
        ("--window 1 --top 3", "--top"),
        ("--window 1 --labels maybe", "maybe"),
        ("--window 1 --labels _unknown_", "_unknown_"),
        ("--window 1 --hop 2", "hop"),
        ("--window 0", "window"),
        ("--window 1 --threshold 2", "threshold"),
        ("--window 1 --resume", "--resume"),
    ],
)
def test_wrong_usage_is_exit_2(sew: Sew, classifier: Path, long: Path, options: str, named: str) -> None:
    result = sew("classify", long, "-m", classifier, *options.split())
    assert (result.code, result.out) == (2, b"")
    assert named in result.err


def test_settings_of_the_environment_are_no_error_for_clips(
    sew: Sew, classifier: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEW_THRESHOLD", "0.4")
    assert sew("classify", audio / "b.wav", "-m", classifier).code == 0


@pytest.mark.defaults
def test_python_gives_the_events_of_the_command(sew: Sew, classifier: Path, long: Path) -> None:
    records = sew("classify", long, "-m", classifier, *SPOT, "-f", "json").records
    model = sewcli.load(classifier)
    events = list(model.spot(long, window=0.5, hop=0.2, smooth=1, threshold=0.3, merge_gap=0.1))
    assert [(one.label, one.start, one.end, one.score) for one in events] == [
        (one["label"], one["start"], one["end"], one["score"]) for one in records
    ]
    samples, rate = soundfile.read(long, dtype="float32")
    again = model.spot(samples, rate, window=0.5, hop=0.2, smooth=1, threshold=0.3, merge_gap=0.1)
    assert [one.start for one in again] == [one.start for one in events]
    with pytest.raises(sewcli.UsageError):
        model.spot(long, hop=5.0)
    with pytest.raises(sewcli.AudioError):
        list(model.spot("gone.wav"))


def test_events_before_the_damage_of_a_file_are_found_in_batches_too(
    sew: Sew, classifier: Path, long: Path, tmp_path: Path
) -> None:
    samples, _ = soundfile.read(long, dtype="float32")
    samples[11 * 16000] = np.nan
    soundfile.write(tmp_path / "odd.wav", samples, 16000, subtype="FLOAT")
    given = ("-m", classifier, *SPOT, "-f", "json")
    alone = sew("classify", tmp_path / "odd.wav", *given).records
    batched = sew("classify", tmp_path / "odd.wav", *given, "--batch-seconds", "30").records
    assert "error" in alone[-1]
    assert len(alone) > 1
    assert spans(batched[:-1]) == spans(alone[:-1])

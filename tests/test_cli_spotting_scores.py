"""`sew evaluate --window`: keyword spotting scored against the events of a manifest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Sew
from helpers import SPOT


@pytest.fixture
def manifest(sew: Sew, classifier: Path, long: Path, tmp_path: Path) -> Path:
    """The recording with the events that the model finds, and a keyword that it does not."""
    events = sew("classify", long, "-m", classifier, *SPOT, "-f", "json").records
    kept = [{key: one[key] for key in ("label", "start", "end")} for one in events[1:]]
    missed = {"label": events[0]["label"], "start": 5.8, "end": 6.2}  # in the silence
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps({"audio_filepath": "long.wav", "events": [*kept, missed], "set": "a"}) + "\n")
    return file


def test_evaluate_counts_misses_and_false_alarms(
    sew: Sew, classifier: Path, long: Path, manifest: Path
) -> None:
    events = sew("classify", long, "-m", classifier, *SPOT, "-f", "json").records
    [scores] = sew("evaluate", manifest, "-m", classifier, *SPOT, "-f", "json").records
    assert (scores["keywords"], scores["misses"], scores["false_alarms"]) == (len(events), 1, 1)
    assert scores["false_alarms_per_hour"] == pytest.approx(3600 / 12.3)
    assert scores["sets"]["a"]["misses"] == 1
    label = events[0]["label"]
    assert (scores["labels"][label]["misses"], scores["labels"][label]["false_alarms"]) == (1, 1)
    levels = {one["threshold"]: one for one in scores["thresholds"]}
    assert levels[0.3]["misses"] == 1
    assert levels[0.1]["keywords"] == len(events)
    lines = sew("evaluate", manifest, "-m", classifier, *SPOT).lines
    assert any(line.startswith(f"all\t{len(events)}\t1\t") for line in lines)
    only = sew("evaluate", manifest, "-m", classifier, *SPOT, "--labels", "no", "-f", "json").records[0]
    assert set(only["labels"]) <= {"no"}


def test_the_threshold_asked_for_is_measured_and_parts_have_the_times_of_their_file(
    sew: Sew, classifier: Path, long: Path, tmp_path: Path
) -> None:
    """What `classify` finds in a part is what `evaluate` expects of it, at any threshold; the rest is not."""
    found = ("-m", classifier, *SPOT, "-f", "json", "--threshold", "0.33")
    events = sew("classify", long, *found, "--start", "2.5").records
    assert events
    kept = [{key: one[key] for key in ("label", "start", "end")} for one in events]
    before = {"label": kept[0]["label"], "start": 1.0, "end": 2.0}
    row = {"audio_filepath": "long.wav", "offset": 2.5, "events": [before, *kept]}
    (tmp_path / "part.jsonl").write_text(json.dumps(row) + "\n")
    [scores] = sew("evaluate", tmp_path / "part.jsonl", *found).records
    assert (scores["keywords"], scores["misses"], scores["false_alarms"]) == (len(events), 0, 0)
    assert 0.33 in [one["threshold"] for one in scores["thresholds"]]
    # an event begins where it begins in the file: a keyword right before it is another
    late = max({one["label"]: one for one in reversed(kept)}.values(), key=lambda one: one["start"])
    early = {"label": late["label"], "start": 2.51, "end": late["start"] - 0.02}
    row["events"] = [early, *(one for one in kept if one is not late)]
    (tmp_path / "part.jsonl").write_text(json.dumps(row) + "\n")
    [scores] = sew("evaluate", tmp_path / "part.jsonl", *found).records
    assert (scores["keywords"], scores["misses"], scores["false_alarms"]) == (len(events), 1, 1)


def test_keywords_past_the_end_of_a_file_are_missed_and_those_of_other_parts_are_not(
    sew: Sew, classifier: Path, long: Path, tmp_path: Path
) -> None:
    event = {"label": "no", "start": 500.0, "end": 501.0}
    for part, keywords in (({}, 1), ({"offset": 1.0, "duration": 3.0}, 0), ({"offset": 1.0}, 0)):
        row = {"audio_filepath": str(long), "events": [event], **part}
        (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
        [scores] = sew(
            "evaluate", tmp_path / "rows.jsonl", "-m", classifier, *SPOT, "--labels", "no", "-f", "json"
        ).records
        assert (scores["keywords"], scores["misses"]) == (keywords, keywords)


def test_manifests_without_events_and_bad_events_are_wrong_usage(
    sew: Sew, classifier: Path, long: Path, tmp_path: Path, manifest: Path
) -> None:
    bad = tmp_path / "bad.jsonl"
    for events, named in (
        (None, "events"),
        ([{"label": "no", "start": 2, "end": 1}], "begins at 2"),
        ([{"label": 1, "start": 0, "end": 1}], "label"),
        ("no", "list"),
    ):
        row = {"audio_filepath": "long.wav", "label": "no"} | ({"events": events} if events else {})
        bad.write_text(json.dumps(row) + "\n")
        result = sew("evaluate", bad, "-m", classifier, *SPOT)
        assert (result.code, result.out) == (2, b"")
        assert named in result.err
    table = sew("evaluate", manifest, "-m", classifier, *SPOT, "--table", tmp_path / "t.jsonl")
    assert table.code == 2
    manifest.write_text(json.dumps({"audio_filepath": "gone.wav", "events": []}) + "\n")
    assert sew("evaluate", manifest, "-m", classifier, *SPOT).code == 4

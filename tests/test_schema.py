"""`sew schema`, and the JSON outputs held against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Sew
from helpers import needs_pyctcdecode
from jsonschema import Draft202012Validator

NAMES = {
    "classify", "compare", "config", "detection", "doctor", "error", "evaluate", "events", "models",
    "transcribe", "tune-lm", "verbose_json",
}  # fmt: skip


def closed(schema: Any) -> Any:
    """A schema that refuses keys it does not describe: what is published allows them, for later versions."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if inner.get("type") == "object":
        inner.setdefault("additionalProperties", False)
    return inner


@pytest.fixture
def valid(sew: Sew) -> Any:
    """Assert that an object fits a schema, with no key beyond it."""

    def check(name: str, record: dict[str, Any]) -> None:
        schema = json.loads(sew("schema", name).out)
        errors = list(Draft202012Validator(closed(schema)).iter_errors(record))
        assert not errors, errors

    return check


def test_names_and_schemas(sew: Sew) -> None:
    assert set(sew("schema").lines) == NAMES
    for name in NAMES:
        result = sew("schema", name)
        assert result.code == 0
        Draft202012Validator.check_schema(json.loads(result.out))
    unknown = sew("schema", "srt")
    assert (unknown.code, unknown.out) == (2, b"")
    assert "transcribe" in unknown.err


def described(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from described(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from described(item)


def test_no_key_is_required_that_is_not_described(sew: Sew) -> None:
    for name in NAMES:
        for part in described(json.loads(sew("schema", name).out)):
            assert set(part.get("required", ())) <= set(part["properties"])


def test_schema_refuses_what_is_wrong(sew: Sew) -> None:
    validator = Draft202012Validator(json.loads(sew("schema", "transcribe").out))
    good = {
        "schema_version": 1, "path": "a.wav", "duration": 1.0, "text": "", "words": [],
        "model": {"id": "nano", "revision": None}, "settings": {},
    }  # fmt: skip
    assert validator.is_valid(good)
    assert validator.is_valid(good | {"a_new_key": 1})
    for wrong in ({"schema_version": 2}, {"duration": "1"}, {"text": None}, {"words": [{"word": "A"}]}):
        assert not validator.is_valid(good | wrong)


def test_transcribe_and_errors(sew: Sew, audio: Path, ctc: Path, tmp_path: Path, valid: Any) -> None:
    for options in (("--timestamps", "char", "--channel", "0"), ("--timestamps", "none", "--start", "0.5")):
        listed = tmp_path / "failures.jsonl"
        given = ("transcribe", audio, "gone.wav", "-m", ctc, "-f", "json", "--failures", listed)
        result = sew(*given, *options)
        assert result.code == 3
        *good, failed = result.records
        assert len(good) == 3
        for record in good:
            valid("transcribe", record)
        valid("error", failed)
        valid("error", json.loads(listed.read_text()))


@needs_pyctcdecode
def test_transcribe_by_beam_search(sew: Sew, audio: Path, ctc: Path, valid: Any) -> None:
    result = sew(
        *("transcribe", audio, "-m", ctc, "-f", "json", "--decoder", "beam", "--beam-width", "5"),
        *("--n-best", "3", "--hotword", "a"),
    )
    assert len(result.records) == 3
    for record in result.records:
        valid("transcribe", record)
        assert record["alternatives"][0]["text"] == record["text"]
        assert record["hotwords"]["A"] == record["text"].split().count("A")


def test_verbose_json(sew: Sew, audio: Path, ctc: Path, valid: Any) -> None:
    several = sew("transcribe", audio, "-m", ctc, "-f", "verbose_json").records
    assert any(record["segments"] for record in several)
    given = ("transcribe", audio / "a.wav", "-m", ctc, "-f", "verbose_json")
    parts = sew(*given, "--channel", "split", "--start", "1").records
    assert [(record["path"], record["offset"], record["channel"]) for record in parts] == [
        (str(audio / "a.wav"), 1.0, 0)
    ]
    for record in [*several, *parts, *sew(*given).records]:
        valid("verbose_json", record)


def test_classify(sew: Sew, audio: Path, classifier: Path, valid: Any) -> None:
    result = sew("classify", audio, "-m", classifier, "-f", "json", "--top", "3")
    assert len(result.records) == 3
    for record in result.records:
        valid("classify", record)
        assert len(record["labels"]) == 3


def test_events_and_detection(sew: Sew, audio: Path, classifier: Path, tmp_path: Path, valid: Any) -> None:
    given = ("-m", classifier, "--window", "0.5", "--threshold", "0.2", "-f", "json")
    records = sew("classify", audio, *given, "--channel", "0").records
    assert records
    for record in records:
        valid("events", record)
    manifest = tmp_path / "events.jsonl"
    event = {"label": "yes", "start": 0.5, "end": 1.0}
    manifest.write_text(json.dumps({"audio_filepath": str(audio / "a.wav"), "events": [event], "set": "one"}))
    valid("detection", sew("evaluate", manifest, *given).records[0])


def test_evaluate_and_compare(
    sew: Sew, audio: Path, ctc: Path, classifier: Path, tmp_path: Path, valid: Any
) -> None:
    texts, labels = tmp_path / "texts.jsonl", tmp_path / "labels.jsonl"
    rows = [{"audio_filepath": str(audio / name), "set": "one"} for name in ("a.wav", "b.wav")]
    texts.write_text("".join(json.dumps(row | {"text": "a b"}) + "\n" for row in rows))
    labels.write_text("".join(json.dumps(row | {"label": "yes"}) + "\n" for row in rows))
    tables = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    for table in tables:
        [record] = sew("evaluate", texts, "-m", ctc, "-f", "json", "--table", table).records
        valid("evaluate", record)
        assert record["sets"]["one"]["utterances"] == 2
    valid("evaluate", sew("evaluate", "--results", tables[0], "-f", "json").records[0])
    valid("evaluate", sew("evaluate", labels, "-m", classifier, "-f", "json").records[0])
    compared = sew("evaluate", "--compare", *tables, "-f", "json", "--resamples", "100")
    valid("compare", compared.records[0])


def test_models_and_config(sew: Sew, ctc: Path, valid: Any) -> None:
    listed = sew("models", "list", "-f", "json").records
    assert listed
    for record in listed:
        valid("models", record)
    valid("models", sew("models", "show", ctc, "-f", "json").records[0])
    valid("config", sew("config", "show", "-f", "json").records[0])

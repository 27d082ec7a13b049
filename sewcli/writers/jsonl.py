"""JSON Lines: one object an input."""

from __future__ import annotations

import json
from typing import Any

from sewcli.chunking import STATE_SECONDS
from sewcli.results import (
    Classification,
    Detections,
    Embedding,
    Failure,
    KeywordEvent,
    Span,
    Transcript,
)
from sewcli.writers.layout import Layout, Result

#: keys keep their meaning within a version
SCHEMA_VERSION = 1


def write(result: Result, layout: Layout) -> bytes:  # noqa: ARG001 - nothing is open
    """One line of JSON, or one an event; the path is always in it."""
    if isinstance(result, Detections):
        return b"".join(dump(_event(event)) for event in result.events)
    return dump(as_object(result))


def dump(content: dict[str, Any]) -> bytes:
    """An object as one line of UTF-8.

    A file name that is not UTF-8 comes as lone surrogates, which UTF-8 cannot hold; such a line is
    written in ASCII with escapes.
    """
    text = json.dumps(content, ensure_ascii=False)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(content).encode() + b"\n"


def as_object(result: Result) -> dict[str, Any]:
    """The JSON object of a result."""
    match result:
        case Transcript():
            return _transcript(result)
        case Classification():
            return _classification(result)
        case KeywordEvent():
            return _event(result)
        case Detections():
            return {**_head(result), "events": [_event(event) for event in result.events]}
        case Embedding():
            return _embedding(result)
        case Failure():
            return {"path": result.path, **part_of(result), "error": _error(result)}


def _transcript(result: Transcript) -> dict[str, Any]:
    content = _head(result)
    content["text"] = result.text
    if result.alternatives is not None:
        content["alternatives"] = [
            {"text": one.text, "score": round(one.score, 4), "network_score": round(one.network_score, 4)}
            for one in result.alternatives
        ]
    if result.hotwords is not None:
        content["hotwords"] = dict(result.hotwords)
    if result.words is not None:
        content["words"] = [_span("word", span) for span in result.words]
    if result.chars is not None:
        content["chars"] = [_span("char", span) for span in result.chars]
    content["model"] = {"id": result.model.id, "revision": result.model.revision}
    content["settings"] = dict(result.settings)
    return content


def _classification(result: Classification) -> dict[str, Any]:
    content = _head(result)
    content["labels"] = [{"label": label.label, "score": label.score} for label in result.labels]
    content["model"] = {"id": result.model.id, "revision": result.model.revision}
    return content


def _event(event: KeywordEvent) -> dict[str, Any]:
    content = {"path": event.path, "label": event.label, "start": event.start, "end": event.end}
    return content | {"score": event.score} | part_of(event)


def _embedding(result: Embedding) -> dict[str, Any]:
    content = _head(result)
    content["shape"] = list(result.states.shape)
    content["dtype"] = "float32"
    content["layer"] = "last_hidden_state" if result.layer is None else result.layer
    content["pool"] = "mean" if result.frame_seconds is None else "none"
    content["frame_seconds"] = result.frame_seconds
    if result.attentions is not None:
        content["attentions"] = {
            "frame_seconds": STATE_SECONDS,
            "chunks": [
                {
                    "array": f"attentions.{number}",
                    "shape": list(chunk.weights.shape),
                    "first_query": chunk.first_query,
                    "first_key": chunk.first_key,
                }
                for number, chunk in enumerate(result.attentions)
            ],
        }
    content["model"] = {"id": result.model.id, "revision": result.model.revision}
    content["settings"] = dict(result.settings)
    return content


def _head(result: Transcript | Classification | Detections | Embedding) -> dict[str, Any]:
    content = {"schema_version": SCHEMA_VERSION, "path": result.path, "duration": result.duration}
    return content | part_of(result)


def part_of(result: Result) -> dict[str, Any]:
    """Which part and which channel of the input it is of; nothing for all of it."""
    found = {"offset": result.offset, "channel": result.channel}
    return {key: value for key, value in found.items() if value is not None}


def _error(failure: Failure) -> dict[str, str]:
    return {"code": failure.code, "message": failure.message}


def _span(key: str, span: Span) -> dict[str, Any]:
    content = {key: span.text, "start": span.start, "end": span.end, "confidence": span.confidence}
    return content if span.fits is None else content | {"fits": span.fits}
